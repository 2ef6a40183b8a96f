"""Show what a model finds in a video, on a page that needs nothing else.

    sqair report clip.mp4 --model runs/mine --output pages
    sqair report dishes.mp4 --output pages --region 0,0,300,300 310,0,300,300 --count 5
    sqair report clip.mp4 --output pages --zone 0,0,160,240 --line 160,0,160,240 --scale 0.12 mm

writes ``NAME.html`` for each clip: the video with its tracks, to go through and choose objects in, when each was seen,
how many were where, what the model explains and what it does not, and with ground truth the scores. Rows are those that
`sqair track` writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from sqair.errors import UserError
from sqair.scripts.export_flags import ExcludeFlag, LineFlag, RegionFlag, ScaleFlag, ZoneFlag


@dataclass(frozen=True)
class Args:
    """Show what a model finds in a video, or in many clips: one page for each."""

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """A video, a folder of videos or of images, a stack (TIFF) or animation, a glob, an array (.npz, .npy, .h5, .zarr),
    or the address of a stream that ends."""
    output: Path
    """Folder to write to; it must be empty or not exist, unless --overwrite is given."""
    model: str = "auto"
    """A run's folder, a folder of weights, the name of a model that ships with the package, or org/name of the hub.
    auto: moving-mnist for clips of 50x50 pixels, and for others any-camera, which needs no
    training: a survey of the clips tells it what is behind things, how large they are and how many."""
    region: RegionFlag = ()
    exclude: ExcludeFlag = ()
    count: int = 0
    """How many individuals there are, in each region, if you know it and each is there from beginning to end of every
    clip."""
    scale: ScaleFlag = None
    zone: ZoneFlag = ()
    line: LineFlag = ()
    gt: Path | None = None
    """Ground truth to score by, as `sqair score` takes it: a MOTChallenge file, a folder of files NAME.txt or of
    sequences NAME/gt/gt.txt, or the .npz of `sqair generate`. By default that of a source which is such an .npz."""
    benchmark: Literal["auto", "mot15", "mot17", "mot20"] = "auto"
    """Whose rule says which ground truth is scored, as in `sqair score`."""
    frames: Literal["auto", "truth", "all"] = "auto"
    """Frames that are scored. truth: those with a row of ground truth. auto: all, unless the ground truth is on every
    k-th frame only, k > 1. As in `sqair score`."""
    fps: float | None = None
    """Frames per second of the source, whatever it says itself: how fast the video on the page plays."""
    range: tuple[float, float] | None = None
    """Values of the source that are black and white, such as 0 4095. By default 8 bits are taken as they are, and for
    others a range is told from the clip, which is printed."""
    video_frames: int = 1800
    """Frames of a clip that the video on its page shows, at most: 1800 are a minute of a film of 30 frames a second. Of
    longer ones it shows one frame in so many, or of a stream the first ones. Everything else is about all frames."""
    overwrite: bool = False
    """Replace pages of the same names in the output folder; other files in it stay, and so does whatever is read."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where to compute; a GPU pays with hundreds of clips at a time: see docs/performance.md."""


def main(args: Args) -> None:
    """Tracks every clip of the source and writes its page.

    Raises:
        UserError: the source, the model, the ground truth or the output folder is no good, or frames are not of the
            model's kind; nothing is written. If a video ends before the frames that it promised, the page is about
            those that are there and is written first.
        SystemExit: SIGTERM (status 143) or Ctrl-C (130) ended the tracking; the page about the frames up to there was
            written.
    """
    from sqair.scripts.clip_report import write_pages
    from sqair.scripts.tracking import check_fps

    check_fps(args.fps)
    if args.video_frames < 1:
        raise UserError(f"--video-frames is {args.video_frames}: it must be at least 1")
    write_pages(args)


if __name__ == "__main__":
    from sqair.scripts.cli import run

    raise SystemExit(run("report"))
