"""A new user's own clips: coloured shapes before a photo-like scene, drawn with plain OpenCV.

sqair experiments shapes --output runs/shapes          three clips; ten minutes of one core each

Training is ``sqair train --data CLIP`` with no other setting, tracking is ``sqair track``. What is finished is not run
again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqair.datasets.video_out import write_video
from sqair.eval.mot import score
from sqair.files.mot_io import write_mot
from sqair.scripts.experiments.running import markdown, train_and_track
from sqair.scripts.experiments.shape_clip import FPS, shape_clip
from sqair.scripts.experiments.study import Line, Study

COLUMNS = ("mota", "idf1", "recall", "precision")
HEAD = (
    "clip", "frames", "drift", "objects a frame", "MOTA", "IDF1", "recall", "precision", "switches",
    "training, CPU-s", "frames/s",
)  # fmt: skip


@dataclass(frozen=True)
class Args:
    """Make clips, train on each without labels, track it, and score it; resumable."""

    output: Path
    """Folder of the clips, the runs, the tracks, results.jsonl and table.md."""
    clips: int = 3
    """Clips 0 to this, each trained with the seed of its number."""
    length: int = 300
    """Frames of a clip."""
    drift: float = 0.0
    """Share by which the light swells and fades in a clip."""


def main(args: Args) -> None:
    """Runs what is missing and prints the table. Raises UserError as ``sqair train`` and ``sqair track`` do."""
    study = Study(args.output)
    for number in range(args.clips):
        if not study.has(number, args.length, args.drift):
            study.add(run(args, number))
    study.publish(markdown(HEAD, [_cells(line) for line in study.lines]))


def run(args: Args, number: int) -> Line:
    """The scores on one clip, and the time that it took."""
    name = f"shapes{number}-{args.length}-{args.drift:g}"
    clip = args.output / f"{name}.mp4"
    frames, truth = shape_clip(number, args.length, args.drift)
    write_video(clip, iter(frames), FPS)
    write_mot(args.output / f"{name}.gt.txt", truth, truth=True)
    found, line = train_and_track(clip, args.output, number)
    scores = score({name: truth}, {name: found}, {name: args.length}).overall
    return {"key": [number, args.length, args.drift], "objects_a_frame": len(truth) / args.length, **line, **scores}


def _cells(line: Line) -> list[str]:
    cells = [*map(str, line["key"]), f"{line['objects_a_frame']:.1f}", *(f"{line[c]:.3f}" for c in COLUMNS)]
    return [*cells, *(f"{line[c]:.0f}" for c in ("switches", "training_cpu_seconds", "frames_per_second"))]
