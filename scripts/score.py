"""Compare tracks with ground truth, beside the floor where the frames are at hand.

    sqair score --truth MOT17/train --pred trackers/mine
    sqair score --truth clips.npz --pred tracks --output scores
    sqair score --truth clips.npz --pred tracks --protocol ocrb

The numbers are TrackEval's, but that a share of nothing is empty and not 0; docs/scores.md has the rules.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sqair.errors import UserError
from sqair.files.durable import write_text
from sqair.files.mot_io import list_mot
from sqair.files.mot_rows import Rows, read_rows
from sqair.files.spare import spare
from sqair.tracks import Tracks
from sqair.words import count

if TYPE_CHECKING:
    from sqair.eval.scores import Scores
    from sqair.scripts.ground_truth import Truth


@dataclass(frozen=True)
class Args:
    """Compare tracks with ground truth: CLEAR, identity and HOTA scores, a row per clip and OVERALL. Text files count
    frames and pixels from 1."""

    truth: Path
    """Ground truth: a MOTChallenge file, a folder of files NAME.txt, or of sequences NAME/gt/gt.txt; or the .npz of
    `sqair generate`."""
    pred: Path
    """Predictions of the same names: a file or a folder, as above, or a tracker's folder as TrackEval has it."""
    output: Path | None = None
    """Folder for scores.csv and scores.json."""
    benchmark: Literal["auto", "mot15", "mot17", "mot20"] = "auto"
    """Whose rule says which ground truth is scored, and where predictions do not count. mot15: all but conf 0, whatever
    its class. mot17 (MOT16 too): class 1; predictions on classes 2, 7, 8 and 12 are left out. mot20: on 6, too. auto:
    what the classes in each file, and names that begin with MOT20, show."""
    frames: Literal["auto", "truth", "all"] = "auto"
    """Frames that count. truth: those with a row of ground truth. auto: all, unless the ground truth is on every k-th
    frame only, k > 1."""
    iou: float = 0.5
    """Overlap (area of the intersection over that of the union) from which a prediction matches."""
    frames_from: str | None = None
    """Where the frames are, for the lengths of the clips and the floor: a video, a folder of images, a glob
    or an .npz. By default the images of the ground truth's sequences (seqinfo.ini's imDir, or img1), where there are
    any, or those of its .npz."""
    floor: bool = True
    """Where the frames are at hand, score a tracker of connected components beside the predictions."""
    allow_missing: bool = False
    """A clip without predictions is one in which nothing was found, not an error."""
    overwrite: bool = False
    """Replace scores.csv and scores.json in the output folder."""
    protocol: Literal["tba", "ocrb", "silot"] | None = None
    """Score as published trackers were, in percent. tba: boxes; of an .npz, those of whole objects. ocrb: the masks of
    `sqair track --masks`, against those of `sqair generate --masks`. silot: boxes, by the number of objects."""
    patch: str | None = None
    """With --protocol tba: what is predicted gets this size, 28 or HxW in pixels, around its centre."""


def main(args: Args) -> None:
    """Runs the command.

    Raises:
        UserError: files are missing, malformed or do not go together, or the output cannot be written.
    """
    if args.protocol or args.patch:
        from sqair.scripts.score_protocol import score_by_protocol

        return score_by_protocol(args)
    if not 0 < args.iou <= 1:
        raise UserError(f"--iou is {args.iou:g}: an overlap is more than 0 and at most 1")
    truths, pred = read_rows_of(args)
    gt = {name: truth.rows for name, truth in truths.items()}
    if not any(map(len, gt.values())):
        raise UserError(f"{args.truth}: no ground truth at all, so there is nothing to score")
    floor, counted = look_at_frames(args, truths)
    contenders: dict[str, Mapping[str, Rows | Tracks]] = {"OVERALL": pred, **({"floor": floor} if floor else {})}
    lengths = {name: truth.length or counted.get(name) for name, truth in truths.items()}
    guessed = sum(length is None for length in lengths.values())
    known = {name: last_frame(gt[name], pred[name]) if n is None else n for name, n in lengths.items()}
    report(args, gt, contenders, known, guessed)


def read_rows_of(args: Args, *, full: bool = False) -> tuple[dict[str, Truth], dict[str, Rows]]:
    """The ground truth and the predictions by the names of the clips, once it is sure that scores can be written.

    With ``full`` the boxes of an .npz are those of whole objects.
    """
    from sqair.scripts.ground_truth import read_truth

    truths = read_truth(args.truth, full=full)
    files = pair_files(args, truths)
    spare_inputs(args, [*(truth.path for truth in truths.values()), *files.values()])
    prepare_output(args.output, args.overwrite)
    return truths, {name: read_rows(files[name]) if name in files else Rows.of(Tracks.empty()) for name in truths}


def spare_inputs(args: Args, files: list[Path]) -> None:
    """Raises UserError if the scores would replace one of the ``files``, or a frame that is read."""
    from sqair.datasets.staging import source_files

    if args.output is not None:
        frames = source_files(args.frames_from) if args.frames_from else ()
        spare([*files, *frames], [args.output / name for name in ("scores.csv", "scores.json")])


def prepare_output(output: Path | None, overwrite: bool) -> None:
    """Makes the folder, so that what cannot be written is known before the work is done."""
    if output is None:
        return
    for name in ("scores.csv", "scores.json"):
        if (output / name).exists() and not overwrite:
            raise UserError(f"{output / name} exists: choose another --output, or add --overwrite")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {output}: {error.strerror}") from error


def pair_files(args: Args, truth: Mapping[str, Truth]) -> dict[str, Path]:
    """The files of predictions by name. Two single files go together whatever their names."""
    if args.pred.suffix.lower() == ".npz":
        raise UserError(f"{args.pred} holds frames, not tracks: give the folder that `sqair track` wrote")
    pred = list_mot(args.pred)
    if len(truth) == 1 and args.truth.is_file() and args.pred.is_file():
        pred = dict(zip(truth, pred.values(), strict=True))
    missing = [name for name in truth if name not in pred]
    if missing and not args.allow_missing:
        others = f" (nor for {len(missing) - 1} more)" if len(missing) > 1 else ""
        hint = "--allow-missing scores such clips as found empty"
        raise UserError(f"{args.pred} has no predictions for clip {missing[0]}{others}; {hint}")
    for name in pred:
        if name not in truth:
            raise UserError(f"{pred[name]}: {args.truth} has no ground truth for a clip {name}")
    return pred


def look_at_frames(args: Args, truths: Mapping[str, Truth]) -> tuple[dict[str, Tracks], dict[str, int]]:
    """The floor's tracks of the clips, if it is wanted and there are frames, and the lengths that the frames tell."""
    if args.frames_from is None and not (args.floor and all(truth.frames for truth in truths.values())):
        return {}, {}
    from sqair.scripts.score_floor import count_frames, floor_of, list_frames, list_own_frames

    try:
        clips = list_frames(args.frames_from, list(truths)) if args.frames_from else list_own_frames(truths)
        if args.floor:
            both = {name: floor_of(clip, truths[name].length) for name, clip in clips.items()}
            return {name: found for name, (found, _) in both.items()}, {name: n for name, (_, n) in both.items()}
        return {}, {name: count_frames(clip) for name, clip in clips.items() if truths[name].length is None}
    except UserError as error:
        if args.frames_from or "--no-floor" in str(error):
            raise
        raise UserError(f"{error}; --no-floor scores without the frames") from error


def last_frame(*clip: Rows) -> int:
    """How many frames there are up to the last box."""
    return max((int(rows.frame.max()) for rows in clip if len(rows)), default=0)


def report(
    args: Args,
    gt: Mapping[str, Rows],
    contenders: Mapping[str, Mapping[str, Rows | Tracks]],
    lengths: Mapping[str, int],
    guessed: int,
) -> None:
    """Scores the contenders, by the names of their rows (``OVERALL`` has clips too), prints and writes.

    ``guessed`` is the number of clips whose length nothing says.
    """
    from sqair.eval.hints import hints
    from sqair.eval.mot import score
    from sqair.eval.scores import format_table

    def score_all(ignore: bool) -> dict[str, Scores]:
        return {
            who: score(gt, tracks, lengths, iou=args.iou, ignore=ignore, benchmark=args.benchmark, frames=args.frames)
            for who, tracks in contenders.items()
        }

    scores = score_all(True)
    floor = {who: s.overall for who, s in scores.items() if who != "OVERALL"}
    print(describe(scores["OVERALL"], lengths, args))
    print(scores["OVERALL"].table(more=floor))
    ignored = sum(scores["OVERALL"].left_out.values())
    with_ignored = {}
    if ignored:
        with_ignored = {who: s.overall for who, s in score_all(False).items()}
        boxes = count(ignored, "box", "boxes")
        print(f"\nLeft out: {boxes} of ground truth that {'is' if ignored == 1 else 'are'} not scored. With them:")
        print(format_table(list(with_ignored.items())))
    if guessed:
        which = "the clip is: it ends" if len(gt) == 1 else f"{guessed} of the {len(gt)} clips are: they end"
        print(f"\nNothing says how long {which} here with the last box.")
    for line in hints(gt, contenders["OVERALL"], scores["OVERALL"]):
        print(f"\nHint: {line}")
    if args.output:
        write(args.output, scores["OVERALL"], floor, with_ignored)


def describe(scores: Scores, lengths: Mapping[str, int], args: Args) -> str:
    """What was scored, by which rule: a line, and another where not all frames count."""
    from sqair.eval.benchmarks import TITLES

    told = " and ".join(title for rule, title in TITLES.items() if rule in scores.rules.values())
    clips, frames = count(len(scores.clips), "clip"), count(int(scores.overall["frames"]), "frame")
    line = f"{clips}, {frames}; boxes match from IoU {args.iou:g}; the rule of {told}"
    if args.frames == "auto" and scores.sampled:
        steps = " or ".join(map(str, sorted(set(scores.sampled.values()))))
        whose = "" if len(scores.sampled) == len(lengths) else f" of {len(scores.sampled)} clips"
        line += f"\nThe ground truth{whose} is on 1 frame in {steps}: the others do not count (--frames all: they do)"
    return line


def write(
    output: Path,
    scores: Scores,
    floor: Mapping[str, dict[str, float]],
    with_ignored: Mapping[str, dict[str, float]],
) -> None:
    """Writes scores.csv and scores.json."""
    from sqair.eval.scores import without_nan

    more = {**floor, **{f"{who} with ignored boxes": row for who, row in with_ignored.items()}}
    summary = {
        **scores.as_dict(),
        "ignored_boxes": sum(scores.left_out.values()),
        **{who: without_nan(row) for who, row in floor.items()},
        "with_ignored_boxes": {who.lower(): without_nan(row) for who, row in with_ignored.items()},
    }
    write_files(output, scores.csv(more=more), summary)


def write_files(output: Path, table: str, summary: Mapping[str, object]) -> None:
    """Writes the table as scores.csv, and the summary as scores.json."""
    write_text(output / "scores.csv", table)
    write_text(output / "scores.json", json.dumps(summary, indent=1, allow_nan=False) + "\n")
    print(f"\nWritten: {output / 'scores.csv'}, {output / 'scores.json'}")


if __name__ == "__main__":
    from sqair.scripts.cli import run

    raise SystemExit(run("score"))
