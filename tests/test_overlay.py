"""What is drawn over frames, and the files it is written to."""

import math
import os
from contextlib import contextmanager

import numpy as np
import pytest

from sqair.datasets import video_out
from sqair.datasets.clip import TruncatedClip
from sqair.datasets.overlay import TRAIL, auto_scale, colour, draw_tracks, outlined, overlay, panel
from sqair.datasets.video import read_source
from sqair.datasets.video_out import playable, write_gif, write_video
from sqair.errors import UserError
from sqair.tracks import Tracks


def at(frame: int, **boxes: tuple[float, float, float, float]) -> Tracks:
    """The rows of one frame: ``at(0, _7=(x, y, w, h))`` has an object of id 7."""
    return Tracks([frame] * len(boxes), [int(name[1:]) for name in boxes], list(boxes.values()))  # type: ignore[arg-type]


def has(image: np.ndarray, track_id: int) -> np.ndarray:
    """[H, W] bool: where ``image`` has exactly the colour of the id."""
    return (image == np.array(colour(track_id), dtype=np.uint8)).all(-1)


def waves(length: int = 20, height: int = 48, width: int = 64) -> np.ndarray:
    """[T, H, W, 3] uint8: smooth and colourful."""
    t, y, x = np.ogrid[:length, :height, :width]
    planes = (np.sin(x / 9 + t / 4) + 0 * y, np.cos(y / 8 + t / 5) + 0 * x, np.sin((x + y) / 15 - t / 6))
    return (127 + 100 * np.stack(planes, axis=-1)).astype(np.uint8)


# drawing


def test_colours_are_stable_bright_and_apart():
    colours = np.array([colour(i) for i in range(8)], dtype=float)
    assert colour(3) == colour(3)
    luma = np.array([colour(i) for i in range(300)]) @ (0.299, 0.587, 0.114)
    assert luma.min() > 100
    distance = np.linalg.norm(colours[:, None] - colours[None], axis=-1) + 999 * np.eye(8)
    assert distance.min() > 40


@pytest.mark.parametrize(
    ("size", "scale"), [((50, 50), 8), ((64, 96), 6), ((576, 768), 1), ((1080, 1920), 1)]
)
def test_small_frames_are_enlarged_to_about_400_pixels(size, scale):
    assert auto_scale(*size) == scale
    assert draw_tracks(np.zeros(size, dtype=np.uint8), Tracks.empty()).shape == (
        size[0] * scale,
        size[1] * scale,
        3,
    )


def test_frame_without_objects_is_only_enlarged_and_never_changed():
    frame = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    image = draw_tracks(frame, Tracks.empty(), scale=3)
    np.testing.assert_array_equal(image[::3, ::3], frame)
    np.testing.assert_array_equal(image[2::3, 2::3], frame)
    before = frame.copy()
    draw_tracks(frame, at(0, _0=(1, 1, 3, 3)), scale=1)
    np.testing.assert_array_equal(frame, before)


def test_box_surrounds_the_pixels_that_it_covers():
    """The outline lies just outside of the box, so that at scale 8 no pixel inside of it is hidden."""
    image = draw_tracks(np.zeros((50, 50), dtype=np.uint8), at(0, _4=(10, 20, 12, 15)), scale=8)
    drawn = has(image, 4)
    label = 24  # its width, in the same colour
    rows, columns = np.nonzero(drawn[:, 8 * 10 + label :])
    assert 8 * 20 - 4 <= rows.min() <= 8 * 20
    assert 8 * 35 - 1 <= rows.max() <= 8 * 35 + 3
    assert 8 * 22 - 1 <= columns.max() + 8 * 10 + label <= 8 * 22 + 3
    inside = drawn[8 * 20 + 2 : 8 * 35 - 2, 8 * 10 + 2 : 8 * 22 - 2]
    assert inside.sum() < 40  # the dot at the centre


def test_every_object_has_its_colour_and_a_label():
    image = draw_tracks(np.zeros((50, 50), dtype=np.uint8), at(0, _0=(2, 12, 10, 10), _1=(30, 30, 10, 10)))
    for track_id, x, y in ((0, 2, 12), (1, 30, 30)):
        tag = image[8 * y - 14 : 8 * y - 3, 8 * x : 8 * x + 12]
        assert has(tag, track_id).mean() > 0.2 and tag.sum(-1).min() < 150, "a filled tag with dark letters"


def test_labels_count_from_1_as_files_do(monkeypatch):
    written = []
    monkeypatch.setattr("sqair.datasets.overlay._draw_label", lambda image, box, text, rgb: written.append(text))
    draw_tracks(waves()[0], at(0, _0=(1, 1, 9, 9), _6=(20, 20, 9, 9)))
    assert written == ["1", "7"]


def test_labels_stay_inside_and_boxes_outside_have_none():
    frame = np.zeros((50, 50), dtype=np.uint8)
    corner = draw_tracks(frame, at(0, _1=(-4, -4, 10, 10)))
    assert has(corner, 1)[:16, :16].mean() > 0.3
    outside = draw_tracks(frame, at(0, _1=(-20, 10, 8, 8), _2=(60, 10, 5, 5), _3=(5, 70, 5, 5)))
    assert not outside.any()


def test_trail_fades_ends_after_30_frames_and_follows_the_id():
    past = [at(t, _5=(2 * t, 20, 4, 4)) for t in range(60)]
    now = at(60, _5=(120, 20, 4, 4), _6=(40, 40, 4, 4))
    image = draw_tracks(np.zeros((60, 140), dtype=np.uint8), now, past, scale=4)
    line = image[4 * 22].max(-1).astype(int)
    assert line[4 * 2 * (60 - TRAIL) + 20 : 4 * 116].min() > 0
    assert line[: 4 * 2 * (60 - TRAIL)].max() == 0
    brightness = line[[4 * (2 * t + 3) for t in range(60 - TRAIL, 58)]]
    assert (np.diff(brightness) >= 0).all() and brightness[-1] > 4 * brightness[0]
    lone = at(60, _6=(40, 40, 4, 4))
    assert (draw_tracks(np.zeros((60, 140), dtype=np.uint8), lone, past, scale=4)[4 * 22] == 0).all()


def test_overlay_keeps_the_trail_and_is_lazy():
    frames = np.zeros((40, 20, 80), dtype=np.uint8)
    tracks = [at(t, _0=(t, 6, 5, 5)) for t in range(40)]
    images = list(overlay(zip(frames, tracks, strict=True), scale=2))
    np.testing.assert_array_equal(images[35], draw_tracks(frames[35], tracks[35], tracks[:35], scale=2))
    np.testing.assert_array_equal(images[0], draw_tracks(frames[0], tracks[0], scale=2))
    assert next(overlay(zip(iter(frames), iter(tracks), strict=True))).shape == (400, 1600, 3)


def test_boxes_of_any_number_do_no_harm():
    tracks = at(0, _0=(1e6, -1e6, 3, 3), _1=(-1e5, -1e5, 2e5, 2e5), _123456=(3, 3, 0, 0))
    assert draw_tracks(np.zeros((20, 20), dtype=np.uint8), tracks).shape == (400, 400, 3)
    diverged = at(0, _0=(1e12, -1e300, 1e12, 3), _1=(np.nan, 3, 3, np.nan), _2=(-np.inf, 3, 1, 1), _3=(3, 3, np.inf, 4))
    assert draw_tracks(np.zeros((20, 20), dtype=np.uint8), diverged, [diverged]).shape == (400, 400, 3)


def test_panel_puts_pictures_side_by_side():
    left, right = np.full((10, 12), 200, dtype=np.uint8), np.full((200, 240, 3), 90, dtype=np.uint8)
    image = panel([left, right], ["input", "tracks"])
    band = image.shape[0] - 200
    assert image.shape[1] == 240 + 8 + 240
    assert (image[band:, :240] == 200).all() and (image[band:, 248:] == 90).all()
    assert image[:band, :240].max() > 150, "the label is legible"


# writing


@pytest.mark.parametrize(("scale", "size"), [(1, (48, 64)), (3, (144, 192))])
def test_video_comes_back(tmp_path, scale, size):
    frames = waves()
    assert write_video(tmp_path / "a.mp4", iter(frames), fps=12, scale=scale) == 20
    (clip,) = read_source(tmp_path / "a.mp4")
    assert (clip.length, clip.size) == (20, size) and math.isclose(clip.fps, 12)
    back = np.stack(list(clip.frames()))[:, scale // 2 :: scale, scale // 2 :: scale]
    assert np.abs(back.astype(int) - frames).mean() < 6
    assert os.listdir(tmp_path) == ["a.mp4"]


def test_odd_sizes_are_padded_and_grey_is_fine(tmp_path):
    frames = waves(5, 51, 63)[..., 0]
    write_video(tmp_path / "a.mp4", frames, fps=29.97)
    (clip,) = read_source(tmp_path / "a.mp4", channels=1)
    assert clip.size == (52, 64) and math.isclose(clip.fps, 29.97, abs_tol=0.01)
    assert np.abs(np.stack(list(clip.frames()))[:, :51, :63].astype(int) - frames).mean() < 6


def test_gif_comes_back(tmp_path):
    frames = np.zeros((4, 20, 30, 3), dtype=np.uint8)
    for t, frame in enumerate(frames):
        frame[5:15, 5 * t : 5 * t + 8] = (230, 30, 60)
    assert write_gif(tmp_path / "a.gif", frames, fps=10, scale=2) == 4
    back = np.stack(list(read_source(tmp_path / "a.gif")[0].frames()))
    assert back.shape == (4, 40, 60, 3)
    assert np.abs(back[:, ::2, ::2].astype(int) - frames).max() < 12


@pytest.mark.parametrize("write", [write_video, write_gif])
def test_files_that_cannot_be_written(tmp_path, write):
    name = "a.mp4" if write is write_video else "a.gif"
    with pytest.raises(UserError, match=f"cannot write .*{name}"):
        write(tmp_path / "missing" / name, waves(2), fps=10)
    with pytest.raises(UserError, match=f"{name}: there are no frames to write"):
        write(tmp_path / name, [], fps=10)
    with pytest.raises(UserError, match="a.avi"):
        write(tmp_path / "a.avi", waves(2), fps=10)
    with pytest.raises(ValueError, match="uint8"):
        write(tmp_path / name, waves(2).astype(np.float32), fps=10)
    assert not os.listdir(tmp_path)


def test_failure_leaves_the_old_file_alone(tmp_path):
    def frames():
        yield from waves(3)
        raise RuntimeError("from the source")

    (tmp_path / "a.mp4").write_text("old")
    with pytest.raises(RuntimeError, match="from the source"):
        write_video(tmp_path / "a.mp4", frames(), fps=10)
    with pytest.raises(ValueError, match="the first is"):
        write_video(tmp_path / "a.mp4", [waves(1)[0], waves(1, 30)[0]], fps=10)
    assert os.listdir(tmp_path) == ["a.mp4"] and (tmp_path / "a.mp4").read_text() == "old"


def test_a_clip_cut_short_is_written_as_far_as_it_goes(tmp_path):
    def frames():
        yield from waves(3)
        raise TruncatedClip("clip.mp4: cut short", 3)

    with pytest.raises(TruncatedClip):
        write_video(tmp_path / "a.mp4", frames(), fps=10)
    assert len(list(read_source(tmp_path / "a.mp4")[0].frames())) == 3


def test_frames_that_the_encoder_drops_are_noticed(tmp_path, monkeypatch):
    """A full disk, say; here the third of four is dropped on purpose."""
    encoder = video_out._h264
    count = iter(range(100))

    @contextmanager
    def leaky(*args):
        with encoder(*args) as write:
            yield lambda frame: None if next(count) == 2 else write(frame)

    monkeypatch.setattr(video_out, "_h264", leaky)
    with pytest.raises(UserError, match="wrote 3 of 4 frames"):
        write_video(tmp_path / "a.mp4", waves(4), fps=10)
    assert not os.listdir(tmp_path)


def test_speeds_that_can_be_watched(tmp_path):
    assert [playable(fps) for fps in (0.1, 10, 29.97, 4000)] == [2, 10, 29.97, 60]
    write_gif(tmp_path / "a.gif", waves(4), fps=4000)
    (clip,) = read_source(tmp_path / "a.gif")
    assert np.allclose(np.diff([frame.seconds for frame in clip.stamped()]), 1 / 50)


def test_a_video_takes_no_more_bytes_than_it_may(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (60, 128, 128, 3), dtype=np.uint8)
    for rate in (None, 20_000):
        write_video(tmp_path / f"{rate}.mp4", noise, fps=10, rate=rate)
    assert (tmp_path / "20000.mp4").stat().st_size < 1.3 * 6 * 20_000 < (tmp_path / "None.mp4").stat().st_size
    assert len(list(read_source(tmp_path / "20000.mp4")[0].frames())) == 60


def test_trails_that_leave_the_frame_are_drawn_as_far_as_they_go():
    trail = [at(t, _3=(50 - 12 * t, 20, 10, 10)) for t in range(12)]
    drawn = draw_tracks(np.zeros((48, 64), np.uint8), at(12, _3=(-90, 20, 10, 10)), trail, scale=2)
    line = drawn[50].astype(int).sum(-1) > 0
    assert line[:108].all() and not line[-10:].any() and not (drawn[:40] > 0).any()


def test_outlines_are_drawn_at_the_scale_of_the_picture() -> None:
    corner = np.array([[10.0, 10], [40, 10], [40, 30], [10, 30]])
    blank = np.full((120, 160, 3), 60, np.uint8)
    (closed,) = outlined([blank.copy()], [("", corner, True)], 80)
    (opened,) = outlined([blank.copy()], [("", corner, False)], 80)
    assert closed[20, 40:60].min() > 200, "along its upper side, at twice the scale"
    assert closed[30:50, 20].min() > 200 and (opened[30:50, 20] == 60).all(), "from the last to the first"
    assert (closed[25:55, 26:74] == 60).all() and (closed[70:] == 60).all()
    (named,) = outlined([blank.copy()], [("door", corner, True)], 80)
    assert (named[22:40, 24:60] > 200).any()
