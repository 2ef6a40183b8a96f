"""The page of ``sqair demo``, and the videos in it."""

from __future__ import annotations

import os
import platform
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

import sqair
from sqair.datasets.folders import read_npz
from sqair.datasets.images import encode_png, enlarge
from sqair.datasets.overlay import auto_scale, overlay, panel
from sqair.datasets.staging import staged
from sqair.datasets.video_out import write_video
from sqair.eval.report import Report, line_chart
from sqair.eval.scores import COLUMNS, Scores
from sqair.eval.words import better, percent, terms
from sqair.model import SQAIR
from sqair.scripts.bench import processor
from sqair.scripts.demo import FLOOR, TRACKINGS, Demo
from sqair.scripts.pictures import spread, stack, strip, to_image
from sqair.scripts.run_folder import read_metrics
from sqair.tracker import Tracker
from sqair.tracks import Tracks
from sqair.words import count

EACH = 2
"""Clips shown of a kind."""
FPS = 5.0
MODEL = TRACKINGS["refined"][0]
ERRORS = {"misses": "missed", "false_positives": "too many", "switches": "switched"}
"""What a clip can have of errors, and what to call the boxes concerned."""
SHOWN = ("mota", "idf1", "hota", "count_accuracy", "motp_iou", "recall", "precision", *ERRORS)


class Explained(NamedTuple):
    """A test clip, frame by frame: as it is ``[T, H, W]``, as the model renders it, and its tracks."""

    name: str
    frames: np.ndarray
    canvases: list[np.ndarray]
    tracks: list[Tracks]


Videos = dict[str, dict[Path, Explained]]
"""Clips with their videos, by their kind."""


def make_videos(demo: Demo, scores: Mapping[str, Scores]) -> Videos:
    """Writes videos/NAME.mp4 of some clips: input, what the model renders, tracks. Returns them by their kind."""
    clips = read_npz(demo.archive)
    model, folder = SQAIR.from_pretrained(demo.run), demo.args.output / "videos"
    kinds = _choose(clips.count.max(1), scores[MODEL])
    names = {i: f"{i:06d}" for chosen in kinds.values() for i in chosen}
    shown = {i: explain(Tracker(model), name, clips.frames[i]) for i, name in names.items()}
    with staged(folder, [f"{name}.mp4" for name in names.values()], overwrite=demo.args.overwrite) as stage:
        for clip in shown.values():
            write_video(stage / f"{clip.name}.mp4", _panels(clip), FPS)
    return {kind: {folder / f"{names[i]}.mp4": shown[i] for i in chosen} for kind, chosen in kinds.items()}


def _choose(objects: np.ndarray, scores: Scores) -> dict[str, list[int]]:
    """Clips to show by their kind; ``objects [N]`` is the most objects of each clip at a time."""
    most = int(objects.max())
    kinds = {}
    for at_a_time in range(most, max(most - 2, 0), -1):
        kind = f"The first clips with {count(at_a_time, 'object')} at a time:"
        kinds[kind] = np.flatnonzero(objects == at_a_time)[:EACH].tolist()
    taken = {i for chosen in kinds.values() for i in chosen}
    errors = np.array([sum(row[key] for key in ERRORS) for row in scores.clips.values()])
    others = [i for i in np.argsort(-errors, kind="stable").tolist() if errors[i] and i not in taken]
    kinds["Of all others, the clips with the most errors:"] = others[:EACH]
    return {kind: chosen for kind, chosen in kinds.items() if chosen}


def explain(tracker: Tracker, name: str, frames: np.ndarray) -> Explained:
    """A clip ``[T, H, W]`` of that name as a tracker explains it."""
    canvases, tracks = [], []
    for frame in frames:
        tracks.append(tracker.update(frame))
        assert tracker.last is not None
        canvases.append(to_image(tracker.last.canvas[0]))
    return Explained(name, frames, canvases, tracks)


def _panels(clip: Explained) -> Iterator[np.ndarray]:
    """Frames of the video: input, what the model renders, tracks, side by side."""
    scale = max(1, auto_scale(*clip.frames.shape[1:3]) // 2)
    drawn = overlay(zip(clip.frames, clip.tracks, strict=True), scale=scale)
    for frame, canvas, tracks in zip(clip.frames, clip.canvases, drawn, strict=True):
        yield panel([enlarge(frame, scale), enlarge(canvas, scale), tracks], ["input", "model", "tracks"])


def write_report(demo: Demo, scores: Mapping[str, Scores], rates: Mapping[str, float], videos: Videos) -> None:
    """Writes report.html, one file that needs nothing else."""
    metrics = read_metrics(demo.run / "metrics.jsonl")
    steps = [line for line in metrics if line["kind"] == "train"]
    looks = [line for line in metrics if line["kind"] == "validation"]
    cpu = metrics[-1]["cpu_seconds"]
    report = Report(f"sqair demo: {demo.recipe.name}")
    report.lead(_headline(scores[MODEL], cpu))
    report.text(
        "A model learned to explain generated video as objects on a background: what they look like, where they are, "
        "and which of them is which from frame to frame. Then it tracked clips of digits that it had never seen, and "
        "their truth, which it was never shown, is what it is scored by."
    )
    _scores(report, scores)
    _clips(report, scores[MODEL], videos)
    _learning(report, demo, steps, looks)
    _next(report, demo)
    _circumstances(report, demo, cpu, rates)
    report.save(demo.args.output / "report.html")


def _headline(scores: Scores, cpu: float) -> str:
    of, clips = scores.overall, count(len(scores.clips), "clip")
    minutes = f"{cpu / 60:.1f} minutes" if cpu >= 60 else count(round(cpu), "second")
    return (
        f"After {minutes} of training on one processor core, without any labels, it found "
        f"**{percent(of['recall'])} of the objects** in {clips} that it had never seen, got their number right in "
        f"{percent(of['count_accuracy'])} of the frames, and changed an id {count(int(of['switches']), 'time')}."
    )


def _scores(report: Report, scores: Mapping[str, Scores]) -> None:
    report.text("## Scores")
    rows = [(name, *(of.overall[key] for key in SHOWN)) for name, of in scores.items()]
    report.table(
        rows,
        ["", *(COLUMNS[key] for key in SHOWN)],
        caption="All test clips together; the best of a column is marked. A box matches an object if the area that "
        "both share is at least half of what they cover together (IoU 0.5); an object's box is around its visible ink.",
        better=better(SHOWN),
        terms=terms(SHOWN),
    )
    refined, amortised, raw = (name for name, _ in TRACKINGS.values())
    report.text(
        "What the rows are:\n\n"
        f"- **{refined}**: what `sqair track` does: clips are gone through forth and back, in several ways of which "
        "the best is kept; each object has to explain enough of the frame to count; and objects that are not seen are "
        "remembered for 30 frames. Boxes are tight around the ink that the model explains\n"
        f"- **{amortised}**: what the network says at first glance, nothing else (`--no-refine`)\n"
        f"- **{raw}**: as the first, but with the boxes that the model looks through (`--box patch`)\n"
        f"- **{FLOOR}**: no model, to compare with: bright pixels that touch are an object, which goes on as it moved"
    )


def _clips(report: Report, scores: Scores, videos: Videos) -> None:
    report.text(
        "## Clips\n\nFrom the left: the input, the picture that the model makes of it from the objects that it found, "
        "and the tracks: a box and an id for each object, with the trail of where it was."
    )
    for kind, films in videos.items():
        report.text(kind)
        for path, clip in films.items():
            row = scores.clips[clip.name]
            errors = [f"{row[key]:.0f} {what}" for key, what in ERRORS.items() if row[key]]
            boxes = f"{count(int(row['objects']), 'box', 'boxes')}, {', '.join(errors) or 'all right'}"
            report.video(path.read_bytes(), f"Clip {clip.name}: {boxes}")
    for clip in next(iter(videos.values()), {}).values():
        wide, narrow = (encode_png(_frame_by_frame(clip, spread(len(clip.frames), most))) for most in (10, 4))
        report.text(f"Clip {clip.name} in time, from left to right: the input, above the model, above the tracks.")
        report.figure(wide, narrow=narrow)


def _frame_by_frame(clip: Explained, times: Sequence[int]) -> np.ndarray:
    """The frames ``times`` of a clip side by side: input, over the model's canvases, over tracks. RGB."""
    frames, canvases = [clip.frames[t] for t in times], [clip.canvases[t] for t in times]
    return stack([strip(frames), strip(canvases), strip(frames, [clip.tracks[t] for t in times])])


def _learning(report: Report, demo: Demo, steps: Sequence[dict], looks: Sequence[dict]) -> None:
    report.text(
        "## Learning\n\n"
        "The first chart shows how well the model explains the video that it is trained on, higher is better: a bound "
        "on the logarithm of its probability (in nats, the natural unit of that), smoothed. It jumps where training "
        "goes on to longer clips. The second shows the share of frames of other clips in which the number of objects "
        "is right at first glance."
    )
    bound = (_column(steps, "cpu_seconds"), _smooth(_column(steps, "elbo")))
    report.figure(line_chart({"bound": bound}, "seconds of one core", "bound, nats per frame"))
    names = {"all frames": "count_accuracy", "first frames": "count_accuracy_first"}
    right = {name: (_column(looks, "cpu_seconds"), _column(looks, key)) for name, key in names.items()}
    report.figure(line_chart(right, "seconds of one core", "share with the right number"))
    pictures = sorted((demo.run / "pictures").glob("*.png"))
    for path in [pictures[0], pictures[-1]][-len(pictures) :]:
        steps_done = count(int(path.stem), "step")
        report.text(f"After {steps_done} of training: tracks, over the picture that the model makes.")
        report.figure(path.read_bytes())


def _next(report: Report, demo: Demo) -> None:
    report.text(
        "## What next\n\nTrack a video of your own, of a camera that does not move. It takes no labels, and ten "
        "minutes or so of training:"
    )
    report.code(
        "sqair train --data clip.mp4 --output runs/mine",
        "sqair track --model runs/mine --source clip.mp4 --output tracks --overlay",
        "sqair report clip.mp4 --model runs/mine --output report",
    )
    report.text("Or see a page like this about the clips of this demo, one by one:")
    report.code(f"sqair report {shlex.quote(str(demo.archive))} --model {shlex.quote(str(demo.run))} --output pages")


def _circumstances(report: Report, demo: Demo, cpu: float, rates: Mapping[str, float]) -> None:
    wall, process = time.monotonic() - demo.began, time.process_time() - demo.cpu_began
    speed = ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items())
    gpu = torch.cuda.get_device_name() if demo.args.device == "cuda" else "no GPU"
    report.text(
        "## How it was made\n\n"
        f"- seed {demo.args.seed}, sqair {sqair.__version__}, Python {platform.python_version()}, "
        f"PyTorch {torch.__version__}, NumPy {np.__version__}\n"
        f"- {processor()}, {count(os.cpu_count() or 1, 'core')}, {platform.system()}; {gpu}\n"
        f"- the demo took {count(round(wall), 'second')}, {cpu:.0f} seconds of a core for training and {process:.0f} "
        "in all\n"
        f"- frames tracked per second: {speed}"
    )
    report.text("\n".join(f"- `{command}`" for command in demo.commands))


def _column(lines: Sequence[dict], key: str) -> list[float]:
    return [line[key] for line in lines]


def _smooth(values: Sequence[float]) -> list[float]:
    """A running mean in which each value counts a tenth."""
    return list(accumulate(values, lambda mean, value: mean + 0.1 * (value - mean)))
