"""Sources of many clips: folders of videos, several paths, and the names of the clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sqair.datasets.clip import ClipSource
from sqair.datasets.images import opencv, write_png
from sqair.datasets.names import told_apart
from sqair.datasets.video import read_source
from sqair.errors import UserError

cv2 = opencv()


def film(path: Path, length: int = 3, size: tuple[int, int] = (32, 24)) -> Path:
    """A short video of ``size`` (w, h)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, size)
    for t in range(length):
        writer.write(np.full((size[1], size[0], 3), 40 * t, np.uint8))
    writer.release()
    return path


def names(source: object) -> list[str]:
    return [clip.name for clip in read_source(source)]  # type: ignore[arg-type]


def test_a_folder_of_videos_is_a_clip_of_each(tmp_path: Path) -> None:
    for name in ("b10", "b2", "a"):
        film(tmp_path / f"{name}.avi")
    for other in ("notes.txt", "._a.avi", "truth.csv"):
        (tmp_path / other).write_text("no video")
    film(tmp_path / "deeper" / "c.avi")
    assert names(tmp_path) == ["a", "b2", "b10"]
    assert all(len(list(clip.frames())) == 3 for clip in read_source(tmp_path))
    assert names(f"{tmp_path}/**/*[a-z0-9].avi") == ["a", "b2", "b10", "c"]


def test_several_sources_are_read_one_after_another(tmp_path: Path) -> None:
    film(tmp_path / "z.avi")
    for name in ("m", "n"):
        film(tmp_path / "more" / f"{name}.avi")
    (tmp_path / "pictures").mkdir()
    write_png(tmp_path / "pictures" / "0.png", np.zeros((4, 4), np.uint8))
    sources = [tmp_path / "z.avi", f"{tmp_path}/more/*.avi", str(tmp_path / "pictures"), tmp_path / "z.avi"]
    assert names(sources) == ["z", "m", "n", "pictures"]
    with pytest.raises(UserError, match=r"none\.avi: no such file"):
        read_source([tmp_path / "z.avi", tmp_path / "none.avi"])


def test_a_folder_that_holds_several_kinds_is_refused(tmp_path: Path) -> None:
    film(tmp_path / "a.avi")
    (tmp_path / "1" / "img1").mkdir(parents=True)
    write_png(tmp_path / "1" / "img1" / "1.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(UserError, match=r"holds 1 video and 1 folder with img1/: say which, such as '.*/\*\.avi'"):
        read_source(tmp_path)
    for name in ("x", "y"):
        write_png(tmp_path / f"{name}.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(UserError, match="holds 1 video and 2 images: say which"):
        read_source(tmp_path)
    film(tmp_path / "1" / "preview.avi")
    assert names(tmp_path / "1") == ["1"], "a MOTChallenge sequence with a video of it"


def test_videos_in_folders_of_a_folder_are_pointed_to(tmp_path: Path) -> None:
    film(tmp_path / "day" / "a.avi")
    with pytest.raises(UserError, match=r"no videos.*\*\*/\*\.mp4"):
        read_source(tmp_path)


def clips(*places: str | tuple[str, str]) -> list[ClipSource]:
    """Clips of these paths, or of a path and a name."""
    pairs = [place if isinstance(place, tuple) else (place, Path(place).stem) for place in places]
    return [ClipSource(name, Path(path), (1, 1), 1, 1.0, lambda: iter(())) for path, name in pairs]


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        (["a/clip.mp4", "b/clip.mp4", "b/other.mp4"], ["a-clip", "b-clip", "other"]),
        (["1/a/clip.mp4", "2/a/clip.mp4", "b/clip.mp4"], ["1-a-clip", "2-a-clip", "b-clip"]),
        (["/x/a/clip.mp4", "/x/b/clip.mp4", "/x/a-clip.mp4"], ["x-a-clip", "b-clip", "a-clip"]),
        (["x/clip.mp4", "x/clip.avi", "y/clip.avi"], ["clip-mp4", "clip-avi", "y-clip"]),
        (["x/clip.mp4", "./x/clip.mp4"], ["clip"]),
        ([("x/a.npz", "0"), ("x/a.npz", "1"), ("x/b.npz", "0")], ["a-0", "a-1", "b-0"]),
        ([("x/a.npz", "0"), ("y/a.npz", "0")], ["x-a-0", "y-a-0"]),
        ([("p/img*.png", "p"), ("q/p/*.png", "p"), ("r/p", "p")], ["here-p", "q-p", "r-p"]),
        ([("p/seq", "seq"), ("q/seq", "seq")], ["p-seq", "q-seq"]),
    ],
)
def test_clips_of_one_name_are_called_after_their_folders(
    places: list[str | tuple[str, str]], expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert [clip.name for clip in told_apart(clips(*places))] == expected


def test_names_are_always_different() -> None:
    """Whatever clips there are: names made of folders may be those of other clips."""
    random = np.random.default_rng(0)
    parts = ["a", "b", "a-a", "a-b"]
    for _ in range(200):
        depths = random.integers(0, 4, 12)
        paths = ["/" + "/".join(random.choice(parts, d + 1)) + str(random.choice([".mp4", ".avi"])) for d in depths]
        found = told_apart(clips(*paths))
        assert len({clip.name for clip in found}) == len(found) == len(set(paths))
        alone = [clip for clip in found if sum(Path(path).stem == Path(clip.path).stem for path in set(paths)) == 1]
        assert all(clip.name == Path(clip.path).stem for clip in alone)
