"""Show what a model finds in a video, on a page that needs nothing else.

    sqair report clip.mp4 --model runs/mine --output pages

writes ``NAME.html`` for each clip: the video with its tracks, when each object was seen, what the model explains and
what it does not, and with ``--gt`` the scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from sqair.errors import UserError


@dataclass(frozen=True)
class Args:
    """Show what a model finds in a video, or in many clips: one page for each."""

    source: Annotated[str, tyro.conf.Positional]
    """A video, a folder of videos or of images, a glob, or an .npz of frames [N, T, H, W] or [N, T, H, W, 3]."""
    output: Path
    """Folder to write to; it must be empty or not exist, unless --overwrite is given."""
    model: str = "moving-mnist"
    """A run's folder, a folder of weights, or the name of a model that ships with the package."""
    gt: Path | None = None
    """Ground truth to score by: a MOTChallenge file, or a folder of files NAME.txt or of sequences NAME/gt/gt.txt.
    Only frames that have rows there count, so that it may have, say, every tenth; rows of confidence 0 are ignored,
    with the tracks that match them."""
    video_frames: int = 500
    """Frames of a clip that the video on its page shows, at most; everything else on the page is about all frames."""
    overwrite: bool = False
    """Replace pages of the same names in the output folder; other files in it stay."""
    device: Literal["cpu", "cuda"] | None = None
    """Where to compute; by default on a GPU if there is one."""


def main(args: Args) -> None:
    """Tracks every clip of the source and writes its page.

    Raises:
        UserError: the source, the model, the ground truth or the output folder is no good, or frames are not of the
            model's kind; nothing is written. If a video ends before the frames that it promised, the page is about
            those that are there and is written first.
    """
    from sqair.scripts.clip_report import write_pages

    if args.video_frames < 1:
        raise UserError(f"--video-frames is {args.video_frames}: it must be at least 1")
    if not args.overwrite and args.output.is_dir() and any(args.output.iterdir()):
        raise UserError(f"{args.output} is not empty: choose another --output, or add --overwrite")
    write_pages(args)


if __name__ == "__main__":
    import sys

    from sqair.scripts.cli import run

    sys.exit(run("report"))
