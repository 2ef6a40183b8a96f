"""The memory that tracking takes: no more for a long video than for a short one.

sqair experiments memory --output runs/memory            two clips, a few minutes
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from sqair.datasets.generate import make_clips
from sqair.datasets.recipes import get_recipe
from sqair.datasets.video_out import write_video
from sqair.model import SQAIR
from sqair.scripts.experiments.running import markdown
from sqair.scripts.experiments.study import Line, Study
from sqair.scripts.measuring import peak_bytes
from sqair.scripts.track import Args as TrackArgs
from sqair.scripts.tracking import track


@dataclass(frozen=True)
class Args:
    """Track a short and a long video, each in a process of its own, and compare their peak resident memory."""

    output: Path
    """Folder of the clips, their tracks, results.jsonl and table.md."""
    lengths: tuple[int, ...] = (200, 20000)
    """Frames of each clip."""
    model: str = "moving-mnist"
    """A run, a weights folder, or a model that ships with the package; of one channel."""
    flags: tuple[str, ...] = ("--json",)
    """More flags of sqair track."""


def main(args: Args) -> None:
    """Makes and tracks the clips, anew each time, and prints the table. Raises UserError as ``sqair track`` does."""
    (args.output / "results.jsonl").unlink(missing_ok=True)
    study, config = Study(args.output), SQAIR.from_pretrained(args.model).config
    for length in args.lengths:
        recipe = get_recipe("moving-mnist", length=length, min_objects=2, height=config.height, width=config.width)
        frames = make_clips(recipe, "test", 0, 0, 1, truth=False).frames[0]
        write_video(args.output / f"{length}.mp4", frames, 30)
        study.work(f"{length} frames", run, [(str(args.output), length, args.model, args.flags)])
    head = ("frames", "loaded, MB", "peak, MB", "tracking, MB", "rows", "frames/s")
    keys = ("frames", "loaded", "peak", "tracking", "rows", "rate")
    study.publish(markdown(head, [[f"{line[key]:.0f}" for key in keys] for line in study.lines]))


def run(output: str, length: int, model: str, flags: tuple[str, ...]) -> list[Line]:
    """Tracks a clip in this process, which must be fresh: its peak memory cannot be reset."""
    folder = Path(output)
    SQAIR.from_pretrained(model)
    loaded = peak_bytes() / 1e6
    words = ["--source", str(folder / f"{length}.mp4"), "--output", str(folder / f"tracks-{length}"), "--overwrite"]
    rate = track(tyro.cli(TrackArgs, args=[*words, "--model", model, "--device", "cpu", *flags]))
    peak = peak_bytes() / 1e6
    rows = (folder / f"tracks-{length}" / f"{length}.txt").read_bytes().count(b"\n")
    line = {"key": [length], "frames": length, "loaded": loaded, "peak": peak, "tracking": peak - loaded}
    return [{**line, "rows": rows, "rate": rate}]
