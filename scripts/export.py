"""Write tracks in the files of other tools.

    sqair export tracks/clip.txt --source clip.mp4 --output tables --format csv coco cvat
    sqair export tracks --source 'clips/*.mp4' --output tables --fill 5 --scale 0.12 mm
    sqair export tracks/clip.txt --fps 25 --output tables

writes for each clip NAME.csv, a tidy table; NAME.via.csv, which movement and napari open; NAME.coco.json;
NAME.cvat.xml, to be corrected in CVAT; or, with gaps filled, NAME.txt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from sqair.errors import UserError
from sqair.scripts.export_flags import LineFlag, ScaleFlag, ZoneFlag
from sqair.words import count

if TYPE_CHECKING:
    from sqair.datasets.clip import ClipSource
    from sqair.exports.record import Record

TIMED, SIZED = ("csv", "coco"), ("coco", "cvat")
"""Formats that tell times, and those that tell the size of frames."""


@dataclass(frozen=True)
class Args:
    """Write tracks in the files of other tools."""

    tracks: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TRACKS")]
    """MOTChallenge rows, as `sqair track` or `sqair edit` writes them: a file, or a folder of files NAME.txt."""
    output: Path
    """Folder to write to; it must be empty or not exist, unless --overwrite is given."""
    source: str | None = None
    """The clips, as `sqair track --source` takes them: they tell the size of frames, how many there are and how long
    one lasts."""
    format: tuple[Literal["csv", "via", "coco", "cvat", "mot"], ...] = ("csv",)
    """csv: a tidy table for data frames, with the columns clip, frame, seconds, id, x, y, w, h, centre_x, centre_y,
    score and interpolated. via: VIA-tracks, for movement and napari. coco: JSON as of COCO-VID. cvat: CVAT for video
    1.1, of a task with the label `object`. mot: rows, NAME.txt."""
    fill: int = 0
    """Fill the gaps of an id that are of so many frames or fewer, evenly; such rows are marked as interpolated, but in
    NAME.txt. 5 are a fifth of a second of a film of 25 frames a second; 0 fills none."""
    min_life: int = 1
    """Leave out ids that have fewer rows than this: 12 are half a second of a film of 25 frames a second."""
    scale: ScaleFlag = None
    zone: ZoneFlag = ()
    line: LineFlag = ()
    fps: float | None = None
    """Frames per second, whatever --source says."""
    size: tuple[int, int] | None = None
    """Width and height of frames, where there is no --source."""
    overwrite: bool = False
    """Replace files of the same names in the output folder; other files in it stay, and so does whatever is read."""


def main(args: Args) -> None:
    """Runs the command.

    Raises:
        UserError: tracks or clips cannot be read or do not go together, an option is no good, or the output cannot be
            written.
    """
    from sqair.datasets.staging import claim, source_files, staged
    from sqair.files.mot_io import list_mot
    from sqair.scripts.exporting import Wanted, check_wanted, write_files

    wanted = Wanted(tuple(dict.fromkeys(args.format)), args.fill, args.min_life, args.scale, args.zone, args.line)
    check_wanted(wanted)
    if not wanted.endings:
        raise UserError("--format is empty: name one, such as csv")
    if args.fps is not None and not 0 < args.fps <= 1e6:
        raise UserError(f"--fps is {args.fps:g}: it must be more than 0, and a million at most")
    if args.size is not None and min(args.size) < 1:
        raise UserError("--size is the width and the height of frames, pixels: 1 or more")
    files = list_mot(args.tracks)
    entries = [f"{name}{ending}" for name in files for ending in wanted.endings]
    reads = [*files.values(), *(source_files(args.source) if args.source else ())]
    claim(args.output, entries, overwrite=args.overwrite, reads=reads)
    clips = _clips_of(args, files)
    records = [_record(args, name, path, clips.get(name)) for name, path in files.items()]
    with staged(args.output, entries, overwrite=args.overwrite, reads=reads) as stage:
        for record in records:
            write_files(record, wanted, stage)
    print(f"{count(len(files), 'clip')}: {', '.join(str(args.output / entry) for entry in entries[:8])}")


def _clips_of(args: Args, files: Mapping[str, Path]) -> dict[str, ClipSource]:
    """The clips of ``--source`` by the names of tracks; a single one is that of the only tracks."""
    from sqair.datasets.video import read_source

    if args.source is None:
        return {}
    clips = read_source(args.source, fps=args.fps)
    if len(clips) == len(files) == 1:
        return {next(iter(files)): clips[0]}
    named = {clip.name: clip for clip in clips}
    missing = [name for name in files if name not in named]
    if missing:
        raise UserError(f"--source {args.source}: no clip is called {missing[0]}, as {files[missing[0]]} is")
    return named


def _record(args: Args, name: str, path: Path, clip: ClipSource | None) -> Record:
    from sqair.exports.record import Record
    from sqair.files.mot_io import read_mot

    for formats, what, known in ((TIMED, "fps", args.fps), (SIZED, "size", args.size)):
        untold = [f"format {kind}" for kind in args.format if kind in formats]
        if formats == TIMED:
            untold += [option for option in ("zone", "line") if getattr(args, option)]
        if clip is None and known is None and untold:
            raise UserError(f"--{untold[0]} needs --source CLIP, or --{what}")
    width, height = args.size or (0, 0)
    size = clip.size if clip is not None else (height, width)
    fps = args.fps or (clip.fps if clip is not None else 1.0)
    tracks = read_mot(path)
    if clip is not None and clip.length is not None and len(tracks) and tracks.frame.max() >= clip.length:
        raise UserError(f"{path} has a frame {tracks.frame.max() + 1}, and {clip.path} has {clip.length}")
    return Record.of(name, tracks, size, fps, clip.length if clip is not None else None)


if __name__ == "__main__":
    from sqair.scripts.cli import run

    raise SystemExit(run("export"))
