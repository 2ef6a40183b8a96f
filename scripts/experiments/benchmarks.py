"""The field's benchmarks, from the data alone: ``sqair train --data SET`` and ``sqair track``, with no other setting.

sqair experiments benchmarks --output runs/benchmarks                       all sets, three seeds; hours on two cores
sqair experiments benchmarks --output runs/benchmarks --only spmot --seeds 1
sqair experiments benchmarks --output runs/val --split val                  to choose settings by
sqair experiments benchmarks --output runs/val --split val --words="--train.muon-rate 0"
sqair experiments benchmarks --output runs/full --idx-path mnist            with all of MNIST, in its four IDX files
sqair experiments benchmarks --output runs/full --idx-path mnist --publish  after that: docs/field.md

Each set is made anew, trained on as an array of clips, and tested once on clips of objects that training never saw,
by its own protocol (docs/scores.md): beside connected components, beside the ground truth whose boxes are linked by
their overlap, and beside what is published. What is finished is not run again.
"""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import ndimage

from sqair.datasets.generate import make_clips, make_segments
from sqair.datasets.recipes import Recipe, get_recipe
from sqair.eval.floor import link, mask_components
from sqair.eval.protocols import score_ocrb, score_silot, score_tba, silot_by_objects
from sqair.passes import Options
from sqair.scripts.experiments.bars_table import CHECKOUT, between
from sqair.scripts.experiments.provenance import commit, fingerprints
from sqair.scripts.experiments.running import check_names, markdown, trained
from sqair.scripts.experiments.study import Line, Study, lines_of
from sqair.scripts.pictures import encode_small, spread, stack, strip
from sqair.tracker import mask_clips, track_clips
from sqair.tracks import Tracks


@dataclass(frozen=True)
class Benchmark:
    """How a set is scored; ``shown`` are scores of its protocol, and ``published`` the best of others, in percent."""

    protocol: Literal["tba", "ocrb", "silot"]
    shown: tuple[str, ...]
    published: str
    clips: int
    """Test clips: fewer than theirs, since each is explained in eight ways."""
    length: int | None = None
    """Frames of a test clip, if they are not those of a training clip."""
    patch: tuple[int, int] | None = None
    """Size (H, W) of all boxes."""


CROWDS = (1, 6, 12)
"""Objects in clips of which the MOTA is shown by itself."""
_MASKS, _BOXES = ("mota", "motp", "md", "mt", "idf1"), ("mota", "idf1", "motp", "ids")
SETS: dict[str, Benchmark] = {
    "spmot": Benchmark("ocrb", _MASKS, "SCALOR 94.9, 80.2, 96.4, 93.2; ViMON 92.9, 91.8, 87.7, 87.2", 400),
    "tba-sprites": Benchmark("tba", _BOXES, "TBA 99.2, 99.2, 79.1, 30", 1, 10_000),
    "tba-mnist": Benchmark("tba", _BOXES, "TBA 99.5, 99.6, 78.4, 22 (on digits it trained on)", 1, 10_000, (28, 28)),
    "vmds-style": Benchmark("ocrb", _MASKS, "on VMDS itself: OP3 91.7, 93.6, 96.8, 96.3", 400),
    "texvmds-style": Benchmark("ocrb", _MASKS, "on texVMDS itself: MONet -73.3", 400),
    "silot": Benchmark("silot", ("mota", *(f"mota of {n}" for n in CROWDS), "ap", "count_error"), "curves only", 600),
}
DIGITS = ("tba-mnist", "silot")
"""Sets of handwritten digits: of all of MNIST where it is given."""
TRAINING = 1000
"""Clips to train on."""
RESULTS, PAGE, PICTURES = "docs/results/benchmarks.jsonl", "docs/field.md", "docs/pictures"
JPEG = b"\xff\xd8"
"""How such pictures begin."""
SHOWN_CLIPS, SHOWN_FRAMES, LONGEST = 3, 8, 40
"""Of a set, in its picture; of a stream, of so many frames of it."""
TRACKING: dict[str, Options] = {
    "refined": {"passes": 2, "tries": 8},
    "once": {"passes": 1, "tries": 1},
    "amortised": {"passes": 1, "tries": 1, "refine": False},
}
"""As ``sqair track`` does by default; once, forth, as frame by frame; by the learned posteriors alone, likewise."""


@dataclass(frozen=True)
class Args:
    """Train and test on every benchmark from the data alone; resumable."""

    output: Path
    """Folder of the sets, the runs, results.jsonl and table.md."""
    only: tuple[str, ...] = ()
    """Sets, by default all: spmot, tba-sprites, tba-mnist, vmds-style, texvmds-style, silot."""
    seeds: int = 3
    """Seeds 0 to this, of training."""
    workers: int = 2
    """Trainings at a time."""
    split: Literal["test", "val"] = "test"
    """Objects of the clips that are scored; a quarter as many of val."""
    idx_path: Path | None = None
    """Folder with MNIST's four IDX files; without it digits are the 4,000 of the package. Each needs its own output."""
    publish: bool = False
    """Write what has been measured, the table and the pictures to docs/."""
    words: str = ""
    """More words of `sqair train`, to try something, as in --words="--train.muon-rate 0"; they name the run."""


def main(args: Args) -> None:
    """Runs what is missing and prints the table. Raises UserError for an unknown set."""
    check_names(args.only, SETS, "set")
    study = Study(args.output, args.workers)
    names = args.only or tuple(SETS)
    recipes = {name: recipe_of(name, args.idx_path) for name in names}
    floor = partial(measure_floor, recipes=recipes)
    study.measure("floors", floor, [("floor", name, args.split) for name in names])
    for name in names:
        make_training_set(args.output, recipes[name])
    words = shlex.split(args.words)
    cells = [("model", name, args.split, seed, *words) for seed in range(args.seeds) for name in names]
    study.measure("trainings", partial(run, recipes=recipes), cells)
    found = table(study.lines, names, args)
    study.publish(found)
    if args.publish:
        publish(study.lines, found, sorted(path for path in args.output.iterdir() if path.suffix in (".png", ".jpg")))


def publish(lines: Sequence[Line], found: str, pictures: Sequence[Path]) -> None:
    """Writes the lines, the table and the pictures to the checkout's docs."""
    (CHECKOUT / RESULTS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    (CHECKOUT / PAGE).write_text(between((CHECKOUT / PAGE).read_text(), found))
    for picture in pictures:
        shutil.copy(picture, CHECKOUT / PICTURES / f"field-{picture.name}")


def recipe_of(name: str, idx_path: Path | None = None) -> Recipe:
    """How clips of a set are made, of the digits in a folder of IDX files where there is one."""
    return get_recipe(name, **({"idx_path": str(idx_path)} if idx_path and name in DIGITS else {}))


def make_training_set(output: Path, recipe: Recipe) -> Path:
    """The archive of clips to train on, by the recipe's name; made unless it is there."""
    path = output / f"{recipe.name}.npz"
    if not path.exists():
        parts = [make_clips(recipe, "train", 0, i, 100, truth=False).frames for i in range(0, TRAINING, 100)]
        np.savez_compressed(path, frames=np.concatenate(parts))
    return path


class Test:
    """What a set is tested with."""

    def __init__(self, recipe: Recipe, split: str) -> None:
        self.set = SETS[recipe.name]
        few = 4 if split == "val" else 1
        recipe = replace(recipe, length=self.set.length // few) if self.set.length else recipe
        which = (recipe, split, 0, 0, max(1, self.set.clips // few))
        self.clips = make_clips(*which)
        self.segments: Any = make_segments(*which) if self.set.protocol == "ocrb" else np.zeros(0)
        self.truth = self.clips.full if self.set.protocol == "tba" else self.clips.truth

    def score(self, tracks: Sequence[Tracks], masks: np.ndarray) -> Line:
        """The scores of the set's protocol; ``masks [N, T, H, W]`` where it is of masks."""
        lengths = [self.clips.frames.shape[1]] * len(self.clips)
        if self.set.protocol == "ocrb":
            return score_ocrb(self.segments, masks)
        if self.set.protocol == "tba":
            return score_tba(self.truth, tracks, lengths, patch=self.set.patch)
        by = silot_by_objects(self.truth, tracks, lengths)
        means = {key: float(np.mean([row[key] for row in by.values()])) for key in ("mota", "ap", "count_error")}
        crowds = {f"mota of {n}": row["mota"] for n, row in by.items()}
        return {**score_silot(self.truth, tracks, lengths), **means, **crowds}


def measure_floor(output: str, kind: str, name: str, split: str, *, recipes: Mapping[str, Recipe]) -> list[Line]:
    """The scores of connected components, whole or by colour, as is better; and of true boxes that are linked."""
    test = Test(recipes[name], split)
    ways = []
    for by_colour in (False, True):
        masks = [mask_components(clip, by_colour=by_colour) for clip in test.clips.frames]
        ways.append(test.score([tracks_of(labels) for labels in masks], np.stack(masks)))
    line = {"key": [kind, name, split], **max(ways, key=lambda scores: scores["mota"])}
    if test.set.protocol != "ocrb":
        length = test.clips.frames.shape[1]
        linked = [link(np.split(t.box, np.searchsorted(t.frame, range(1, length)))) for t in test.truth]
        line["linked"] = test.score(linked, np.zeros(0))["mota"]
    return [line]


def tracks_of(labels: np.ndarray) -> Tracks:
    """The boxes of what each frame of masks ``[T, H, W]`` shows, 0 where there is nothing."""
    rows = []
    for t, image in enumerate(labels):
        for i, place in enumerate(ndimage.find_objects(image)):
            if place is not None:
                y, x = place
                rows.append((t, i, x.start, y.start, x.stop - x.start, y.stop - y.start))
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return Tracks(table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2:])


def run(
    output: str, kind: str, name: str, split: str, seed: int, *words: str, recipes: Mapping[str, Recipe]
) -> list[Line]:
    """Trains on the set and scores; seconds are of the CPU."""
    folder = Path(output) / "-".join([name, str(seed), *(w.strip("-") for w in words)])
    data = str(make_training_set(Path(output), recipes[name]))
    model, _, seconds = trained(folder, ["--data", data, "--train.seed", str(seed), *words])
    test, lines = Test(recipes[name], split), {}
    for way, how in TRACKING.items():
        if test.set.protocol == "ocrb":
            tracks, masks = mask_clips(model, test.clips.frames, **how)
        else:
            tracks, masks = track_clips(model, test.clips.frames, **how), np.zeros(0)
        lines[way] = test.score(tracks, masks)
        if way == "refined" and not seed:
            image = encode_small(picture(test.clips.frames, tracks))
            (Path(output) / f"{name}.{'jpg' if image.startswith(JPEG) else 'png'}").write_bytes(image)
    code = {"commit": commit(), "code": fingerprints(("model", "data", "footage"))}
    return [{"key": [kind, name, split, seed, *words], "cpu_seconds": seconds, **code, **lines}]


def picture(clips: np.ndarray, tracks: Sequence[Tracks]) -> np.ndarray:
    """Frames of the first clips ``[N, T, H, W(, 3)]``, or of the beginning of a stream, with what was found in them."""
    rows = []
    for clip, found in zip(clips[:SHOWN_CLIPS], tracks, strict=False):
        shown = spread(min(len(clip), LONGEST), SHOWN_FRAMES)
        rows.append(strip(clip[shown], [found.where(found.frame == t) for t in shown]))
    return stack(rows)


def table(lines: Sequence[Line], names: Sequence[str], args: Args) -> str:
    """A table of every protocol: mean and lowest over seeds, the floor, and what is published."""
    parts = []
    for protocol in dict.fromkeys(SETS[name].protocol for name in names):
        mine = [name for name in names if SETS[name].protocol == protocol]
        shown = SETS[mine[0]].shown
        rows = [row for name in mine for row in _rows(lines, name, args)]
        parts.append(markdown(("set", "", *shown, "seeds", "CPU-s"), rows))
    return "\n\n".join(parts)


def _rows(lines: Sequence[Line], name: str, args: Args) -> list[list[str]]:
    shown = SETS[name].shown
    runs = [line for line in lines_of(lines, "model", name, args.split) if line["key"][4:] == shlex.split(args.words)]
    (floor,) = lines_of(lines, "floor", name, args.split)
    rows = []
    for way in TRACKING:
        cells = []
        for key in shown:
            values = [line[way][key] for line in runs]
            cells.append(f"{np.mean(values):.1f} ({min(values):.1f})")
        seconds = f"{max(line['cpu_seconds'] for line in runs):.0f}"
        rows.append([name if way == "refined" else "", way, *cells, str(len(runs)), seconds])
    rows.append(["", "connected components", *(f"{floor[key]:.1f}" for key in shown), "", ""])
    if "linked" in floor:
        rows.append(["", "true boxes, linked by overlap", f"{floor['linked']:.1f}", *[""] * (len(shown) + 1)])
    return [*rows, ["", f"published: {SETS[name].published}", *[""] * (len(shown) + 2)]]
