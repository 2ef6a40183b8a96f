"""MOTChallenge text files: one row per box, comma separated, frame, id, left and top counted from 1."""

from __future__ import annotations

import configparser
from pathlib import Path

from sqair.errors import UserError
from sqair.files.durable import write_text
from sqair.files.mot_rows import IGNORED, read_rows
from sqair.files.text import read_text
from sqair.tracks import Tracks


def read_mot(path: str | Path) -> Tracks:
    """The boxes of one clip: the rows that :func:`sqair.files.mot_rows.read_rows` takes, counted from 0.

    ``conf`` becomes ``Tracks.score``; the class is not kept.

    Raises:
        UserError: the file cannot be read, or a row is malformed (the message begins ``FILE:LINE:``).
    """
    return read_rows(path).tracks()


def write_mot(path: str | Path, tracks: Tracks, *, truth: bool = False) -> None:
    """Writes result rows, or with ``truth`` ground-truth rows, all of them or none.

    Ground truth to be scored is of class 1; rows of score 0 are of MOTChallenge's class 8, distractors, so that
    TrackEval too leaves out the predictions matched to them. Numbers are written to the sixth decimal.

    Raises:
        UserError: the file cannot be written.
    """
    write_text(path, mot_rows(tracks, truth=truth))


def mot_rows(tracks: Tracks, *, truth: bool = False) -> str:
    """The rows of ``write_mot``."""
    lines = []
    for frame, name, (x, y, w, h), score, visibility in zip(
        tracks.frame, tracks.id, tracks.box, tracks.score, tracks.visibility, strict=True
    ):
        start = ",".join([str(frame + 1), str(name + 1), *map(_short, (x + 1, y + 1, w, h, score))])
        kind = 1 if score > 0 else IGNORED
        lines.append(f"{start},{kind},{_short(visibility)}\n" if truth else f"{start},-1,-1,-1\n")
    return "".join(lines)


def list_mot(path: str | Path) -> dict[str, Path]:
    """The MOTChallenge files at ``path`` by the names of their clips, in order of the names.

    ``path`` is a file; a sequence (a folder with ``gt/gt.txt``), or a folder of sequences, each named by its
    folder; a folder of files ``NAME.txt``; or, as TrackEval has them, a tracker (a folder of which ``data`` is one
    of those), or a folder of a single tracker.

    Raises:
        UserError: there is no such path, it holds none of these, or one of its sequences has no ground truth.
    """
    path = Path(path)
    if path.is_file():
        return {_clip_name(path): path}
    if not path.is_dir():
        raise UserError(f"no such file or folder: {path}")
    if (path / "gt" / "gt.txt").is_file():
        return {_clip_name(path / "gt" / "gt.txt"): path / "gt" / "gt.txt"}
    try:
        folders = sorted(entry for entry in path.iterdir() if entry.is_dir())
        texts = _texts(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    sequences = [f for f in folders if any((f / part).exists() for part in ("gt", "img1", "seqinfo.ini"))]
    for folder in sequences:
        if not (folder / "gt" / "gt.txt").is_file():
            raise UserError(f"{folder} is a sequence without gt/gt.txt")
    files = [folder / "gt" / "gt.txt" for folder in sequences] or _texts(path / "data") or texts
    if not files:
        return list_mot(_deeper(path, folders))
    return {_clip_name(file): file for file in files}


def _texts(folder: Path) -> list[Path]:
    """The text files of a folder that are not hidden, as what macOS writes beside files on other disks is."""
    return sorted(path for path in folder.glob("*.txt") if not path.name.startswith("."))


def _deeper(path: Path, folders: list[Path]) -> Path:
    """The one tracker among ``folders`` of ``path``, which holds no files itself; an error if there is not one."""
    trackers = [folder for folder in folders if _texts(folder / "data")]
    if len(trackers) == 1:
        return trackers[0]
    if trackers:
        raise UserError(f"{path} holds {len(trackers)} trackers: give one of them, such as {trackers[0]}")
    deeper = [folder for folder in folders if any(folder.glob("*/gt/gt.txt"))]
    meant = f"; is {deeper[0]} meant?" if deeper else ""
    raise UserError(f"{path} holds neither files NAME.txt nor sequences NAME/gt/gt.txt{meant}")


def read_length(path: str | Path) -> int | None:
    """How many frames the ``seqinfo.ini`` of ``SEQ/gt/gt.txt`` promises; None without one.

    Raises:
        UserError: the ``seqinfo.ini`` is malformed.
    """
    info = _read_info(Path(path))
    if info is None:
        return None
    try:
        return info.getint("Sequence", "seqLength")
    except (configparser.Error, ValueError) as error:
        where = Path(path).parent.parent / "seqinfo.ini"
        raise UserError(f"{where} does not say seqLength, the number of frames, under [Sequence]") from error


def find_images(path: str | Path) -> Path | None:
    """The folder of the images of ``SEQ/gt/gt.txt``: ``imDir`` of its ``seqinfo.ini``, or ``img1``; None if not there.

    Raises:
        UserError: the ``seqinfo.ini`` is malformed.
    """
    path = Path(path)
    if path.parent.name != "gt":
        return None
    info = _read_info(path)
    folder = path.parent.parent / (info.get("Sequence", "imDir", fallback="img1") if info else "img1")
    return folder if folder.is_dir() else None


def _read_info(path: Path) -> configparser.ConfigParser | None:
    """The ``seqinfo.ini`` of ``SEQ/gt/gt.txt``, if there is one."""
    info = path.parent.parent / "seqinfo.ini"
    if path.parent.name != "gt" or not info.is_file():
        return None
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(read_text(info))
    except configparser.Error as error:
        raise UserError(f"{info} does not say seqLength, the number of frames, under [Sequence]") from error
    return parser


def _clip_name(path: Path) -> str:
    """``SEQ`` for ``SEQ/gt/gt.txt``, else the name of the file without ``.txt``."""
    path = path.absolute()
    return path.parent.parent.name if path.parent.name == "gt" and path.name == "gt.txt" else path.stem


def _short(value: float) -> str:
    """Up to six decimals, without the zeros at the end."""
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
