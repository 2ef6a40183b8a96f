"""Clips of cameras that do not move, tracked at once and after training on them: ``sqair track``, ``sqair train``.

sqair experiments footage --output runs/footage --clips shared/real --counts fish-A=8 flies-b=2
sqair experiments footage --output runs/footage --shapes 5                   generated ones, without any files
sqair experiments footage --output runs/footage --shapes 5 --seeds 0         without training: minutes

``--clips`` is a folder in which, however deep, ``clip.*`` lies beside ``gt.txt`` (or another ``gt*.txt``), MOTChallenge
rows. A clip is called by its folders. Beside the tracks are those of blobs (eval/blobs.py), which learn nothing, and
with ``--others`` those of SORT, ByteTrack and trackpy on the same blobs (eval/others.py). Ground truth is read after
training and tracking. What is finished is not run again. OUTPUT/index.html shows the table, and the tracks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sqair.datasets.clip import ClipSource
from sqair.datasets.video import read_source
from sqair.datasets.video_out import write_video
from sqair.errors import UserError
from sqair.eval.blobs import find_blobs, track_blobs
from sqair.eval.mot import score
from sqair.eval.others import installed, track_others
from sqair.files.mot_io import read_mot, write_mot
from sqair.files.mot_rows import read_rows
from sqair.scripts.any_camera import ANY_CAMERA
from sqair.scripts.experiments.footage_page import Shown, page_of
from sqair.scripts.experiments.hardships import KINDS, hard_clip
from sqair.scripts.experiments.provenance import commit, fingerprints
from sqair.scripts.experiments.running import markdown, trained
from sqair.scripts.experiments.school import school_clip
from sqair.scripts.experiments.shape_clip import FPS, shape_clip
from sqair.scripts.experiments.study import Line, Study, lines_of
from sqair.scripts.score_floor import count_frames
from sqair.scripts.track import Args as TrackArgs
from sqair.scripts.tracking import track
from sqair.tracks import Tracks

COLUMNS = ("mota", "idf1", "hota", "motp_iou")
HEAD = ("clip", "", *("MOTA", "IDF1", "HOTA", "MOTP"), "switches", "seeds", "training, CPU-s", "frames/s")
PAGE_HEAD = ("clip", "tracks", *HEAD[2:])
SAID = {"untrained": "no training", "model": "trained"}
ABSENT = "say where they are by --clips, or add --shapes 5 or --hard 1"
SHAPES_LENGTH = 300
"""Frames of a generated clip."""


@dataclass(frozen=True)
class Args:
    """Track clips of still cameras, without training and after it, and score them, beside blobs; resumable."""

    output: Path
    """Folder of the runs, the tracks, results.jsonl, table.md and index.html."""
    clips: Path | None = None
    """Folder of clips, each with its ground truth."""
    shapes: int = 0
    """So many generated clips as well."""
    hard: int = 0
    """So many of each hardship of scenes as well: light, shadows, leaves, tremble, compression (hardships.py)."""
    schools: int = 0
    """So many of fish that swim together (school.py)."""
    only: tuple[str, ...] = ()
    """Names of clips; by default all."""
    counts: tuple[str, ...] = ()
    """NAME=N: of clips in which so many individuals are always there, tracked with --count as well."""
    others: bool = False
    """SORT, ByteTrack and trackpy as well, on the boxes of blobs; they have to be installed: sqair[compare]."""
    seeds: int = 1
    """Seeds 0 to this, of training; 0 trains nothing."""
    workers: int = 2
    """Trainings at a time."""


class Clip(NamedTuple):
    """A video and its ground truth."""

    video: Path
    truth: Path


def main(args: Args) -> None:
    """Runs what is missing, prints the table and writes the page.

    Raises:
        UserError: as ``sqair train`` and ``sqair track`` do, or ``--others`` are asked for and not installed.
    """
    if args.others:
        installed()
    study = Study(args.output, args.workers)
    clips = {**(find(args.clips) if args.clips else {}), **make_shapes(args.output, args.shapes)}
    clips |= {name: clip for kind in KINDS for name, clip in make_shapes(args.output, args.hard, kind).items()}
    clips |= make_shapes(args.output, args.schools, "school")
    counts = parse(args.counts)
    for name in (*args.only, *counts):
        if name not in clips:
            known = f"choose from {', '.join(clips)}" if clips else ABSENT
            raise UserError(f"there is no clip {name!r}: {known}")
    names = args.only or tuple(clips)
    if not names:
        raise UserError(f"no clips: {ABSENT}")
    study.measure("blobs", partial(measure_blobs, clips=clips), [("blobs", name) for name in names])
    linked = [("others", name) for name in names if args.others]
    study.measure("others", partial(measure_others, clips=clips), linked)
    known = [("untrained", name, counts.get(name, 0)) for name in names]
    study.measure("without training", partial(run_untrained, clips=clips), known)
    cells = [("model", name, seed, counts.get(name, 0)) for seed in range(args.seeds) for name in names]
    study.measure("trainings", partial(run, clips=clips), cells)
    study.publish(table(study.lines, names))
    page = page_of(best_ways(study, clips, names), table_rows(study.lines, names), PAGE_HEAD)
    page.save(args.output / "index.html")
    print(f"\n{args.output / 'index.html'}: what was found, in pictures")


def find(folder: Path) -> dict[str, Clip]:
    """The clips of a folder by name. Raises UserError if there is none."""
    found = {}
    for video in sorted(folder.rglob("clip.*")):
        truths = sorted(video.parent.glob("gt*.txt"), key=lambda path: (path.name != "gt.txt", path.name))
        if truths:
            found["-".join(video.parent.relative_to(folder).parts) or folder.name] = Clip(video, truths[0])
    if not found:
        raise UserError(f"{folder}: no clip.* with a gt.txt beside it in there")
    return found


def make_shapes(output: Path, count: int, kind: str = "shapes") -> dict[str, Clip]:
    """Generated clips, plain ones, of a hardship or of a school, written unless they are there."""
    make = {"shapes": shape_clip, "school": school_clip}.get(kind) or partial(hard_clip, kind)
    found = {}
    for number in range(count):
        clip = found[f"{kind}-{number}"] = Clip(output / f"{kind}-{number}.mp4", output / f"{kind}-{number}.gt.txt")
        if not clip.truth.exists():
            frames, truth = make(number, SHAPES_LENGTH)
            write_video(clip.video, iter(frames), FPS)
            write_mot(clip.truth, truth, truth=True)
    return found


def parse(counts: Sequence[str]) -> dict[str, int]:
    """NAME=N as a dictionary. Raises UserError for anything else."""
    found = {}
    for word in counts:
        name, _, number = word.rpartition("=")
        if not (name and number.isdecimal() and int(number)):
            raise UserError(f"--counts {word}: it must be NAME=N, a clip and how many individuals are in it")
        found[name] = int(number)
    return found


def measure_blobs(output: str, kind: str, name: str, *, clips: Mapping[str, Clip]) -> list[Line]:
    """The scores of blobs."""
    (clip,) = read_source(str(clips[name].video))
    return [{"key": [kind, name], **scores(clips[name], clip, track_blobs(clip.frames))}]


def measure_others(output: str, kind: str, name: str, *, clips: Mapping[str, Clip]) -> list[Line]:
    """The scores of what others link of the boxes of blobs."""
    (clip,) = read_source(str(clips[name].video))
    found = track_others(find_blobs(clip.frames))
    ways = {way: scores(clips[name], clip, tracks) for way, tracks in found.items()}
    return [{"key": [kind, name], "packages": installed(), "ways": ways}]


def run_untrained(output: str, kind: str, name: str, count: int, *, clips: Mapping[str, Clip]) -> list[Line]:
    """Tracks and scores a clip with the weights that ship."""
    found = ways(Path(output), f"{name}-{kind}", clips[name], ANY_CAMERA, count)
    return [{"key": [kind, name, count], "commit": commit(), "code": fingerprints(), "ways": found}]


def run(output: str, kind: str, name: str, seed: int, count: int, *, clips: Mapping[str, Clip]) -> list[Line]:
    """Trains on a clip, tracks and scores it."""
    folder = Path(output) / f"{name}-{seed}"
    _, _, seconds = trained(folder, ["--data", str(clips[name].video), "--train.seed", str(seed)])
    found = ways(Path(output), f"{name}-{seed}", clips[name], str(folder), count)
    key = [kind, name, seed, count]
    return [{"key": key, "cpu_seconds": seconds, "commit": commit(), "code": fingerprints(), "ways": found}]


def ways(output: Path, name: str, of: Clip, model: str, count: int) -> dict[str, dict[str, float]]:
    """The scores of tracking by a ``model``, and with the number of individuals as well if it is known."""
    (clip,) = read_source(str(of.video))
    found = {}
    for way, known in {"": 0, f" --count {count}": count}.items():
        if known or not way:
            place = place_of(output, name, known)
            rate = track(TrackArgs(str(of.video), place, model, count=known, overwrite=True))
            found[way] = {"frames_per_second": rate, **scores(of, clip, read_mot(place / f"{clip.name}.txt"))}
    return found


def place_of(output: Path, name: str, known: int) -> Path:
    """The folder of the tracks of a clip by a model, whose ``name`` is of both, for ``known`` individuals or 0."""
    return output / f"tracks-{name}-{known}"


def scores(truth: Clip, clip: ClipSource, found: Tracks) -> dict[str, float]:
    """MOT scores, by the rule that ``sqair score`` would follow."""
    return dict(score({"clip": read_rows(truth.truth)}, {"clip": found}, {"clip": count_frames(clip)}).overall)


def best_ways(study: Study, clips: Mapping[str, Clip], names: Sequence[str]) -> list[Shown]:
    """Clips with the tracks of the highest HOTA that were made of them."""
    found = []
    for name in names:
        mine = []
        for kind, said in SAID.items():
            for line in lines_of(study.lines, kind, name):
                _, _, *seed, count = line["key"]
                run = f"{name}-{seed[0] if seed else kind}"
                for way, of in line["ways"].items():
                    mine.append((of["hota"], said + way, place_of(study.output, run, count if way else 0)))
        hota, way, place = max(mine, key=lambda one: one[0])
        found.append(Shown(name, *clips[name], place, way, hota, study.get("blobs", name)["hota"]))
    return found


def table(lines: Sequence[Line], names: Sequence[str]) -> str:
    """Rows by clip and way: the mean over seeds, and the lowest in brackets."""
    return markdown(HEAD, table_rows(lines, names))


def table_rows(lines: Sequence[Line], names: Sequence[str]) -> list[list[str]]:
    """The cells of the table, under ``HEAD``; the first row of each clip has its name."""
    rows = []
    for name in names:
        floors = [("blobs", line) for line in lines_of(lines, "blobs", name)]
        for line in lines_of(lines, "others", name):
            floors += [(f"blobs, {way}", floor) for way, floor in line["ways"].items()]
        for way, floor in floors:
            shown = [*(f"{floor[key]:.3f}" for key in COLUMNS), f"{floor['switches']:.0f}"]
            rows.append([name if way == "blobs" else "", way, *shown, "", "", ""])
        for kind, said in SAID.items():
            runs = lines_of(lines, kind, name)
            for way in dict.fromkeys(way for line in runs for way in line["ways"]):
                mine = [line["ways"][way] for line in runs if way in line["ways"]]
                cells = [_mean([line[key] for line in mine]) for key in COLUMNS]
                seconds = f"{max(line.get('cpu_seconds', 0) for line in runs):.0f}"
                switches = ", ".join(f"{line['switches']:.0f}" for line in mine)
                speed = f"{np.mean([line['frames_per_second'] for line in mine]):.0f}"
                seeds = str(len(mine)) if kind == "model" else ""
                rows.append(["", said + way, *cells, switches, seeds, seconds, speed])
    return rows


def _mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f}" + (f" ({min(values):.3f})" if len(values) > 1 else "")
