"""``sqair score``: compare tracks with ground truth, beside the floor where the frames are at hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sqair.errors import UserError
from sqair.mot_io import list_mot, read_length, read_mot, write_text
from sqair.spare import spare
from sqair.tracks import Tracks

MOST_PIXELS = 10**9
"""The floor takes the median of a whole clip, which has to fit the memory."""


@dataclass(frozen=True)
class Args:
    """Compare tracks with ground truth: CLEAR, identity and HOTA scores, a row per clip and OVERALL."""

    truth: Path
    """Ground truth: a MOTChallenge file, a folder of files NAME.txt, or of sequences NAME/gt/gt.txt."""
    pred: Path
    """Predictions of the same names: a file or a folder, as above."""
    output: Path | None = None
    """Folder for scores.csv and scores.json."""
    iou: float = 0.5
    """Overlap from which a prediction matches."""
    frames_from: str | None = None
    """Where the frames are, for the lengths of the clips and the floor: a video, a folder of images, a glob
    or an .npz. By default the images of the ground truth's sequences, where there are any."""
    floor: bool = True
    """Where the frames are at hand, score a tracker of connected components beside the predictions."""
    allow_missing: bool = False
    """A clip without predictions is one in which nothing was found, not an error."""
    overwrite: bool = False
    """Replace scores.csv and scores.json in the output folder."""


def main(args: Args) -> None:
    if not 0 < args.iou <= 1:
        raise UserError(f"--iou is {args.iou:g}: an overlap is more than 0 and at most 1")
    truth_files, pred_files = pair_files(args)
    spare_inputs(args, [*truth_files.values(), *pred_files.values()])
    prepare_output(args.output, args.overwrite)
    gt = {name: read_mot(path) for name, path in truth_files.items()}
    pred = {name: read_mot(pred_files[name]) if name in pred_files else Tracks.empty() for name in gt}
    if not any(map(len, gt.values())):
        raise UserError(f"{args.truth}: no ground truth at all, so there is nothing to score")

    contenders = {"OVERALL": pred}
    lengths = {name: read_length(path) for name, path in truth_files.items()}
    source = args.frames_from or (str(args.truth) if args.floor and has_images(args.truth) else None)
    if source:
        floor, counted = walk_frames(source, list(gt), args.floor)
        lengths = {name: length or counted[name] for name, length in lengths.items()}
        if args.floor:
            contenders["floor"] = floor
    guessed = sum(length is None for length in lengths.values())
    known = {name: last_frame(gt[name], pred[name]) if n is None else n for name, n in lengths.items()}
    report(args, gt, contenders, known, guessed)


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


def pair_files(args: Args) -> tuple[dict[str, Path], dict[str, Path]]:
    """Files by name, of ground truth and predictions. Two single files go together whatever their names."""
    truth, pred = list_mot(args.truth), list_mot(args.pred)
    if args.truth.is_file() and args.pred.is_file():
        pred = dict(zip(truth, pred.values(), strict=True))
    missing = [name for name in truth if name not in pred]
    if missing and not args.allow_missing:
        others = f" (nor for {len(missing) - 1} more)" if len(missing) > 1 else ""
        hint = "--allow-missing scores such clips as found empty"
        raise UserError(f"{args.pred} has no predictions for clip {missing[0]}{others}; {hint}")
    for name in pred:
        if name not in truth:
            raise UserError(f"{pred[name]}: {args.truth} has no ground truth for a clip {name}")
    return truth, pred


def has_images(truth: Path) -> bool:
    """Whether ``truth`` is a MOTChallenge sequence with its images, or a folder of such."""
    return truth.is_dir() and any(True for pattern in ("img1", "*/img1") for _ in truth.glob(pattern))


def walk_frames(source: str, names: list[str], floor: bool) -> tuple[dict[str, Tracks], dict[str, int]]:
    """The floor's tracks of the clips (if ``floor``), and how many frames each clip has."""
    from sqair.datasets.video import read_source
    from sqair.eval.floor import track_components

    clips = {clip.name: clip for clip in read_source(source)}
    if len(names) == 1 and len(clips) == 1:
        clips = dict(zip(names, clips.values(), strict=True))
    tracks, lengths = {}, {}
    for name in names:
        if name not in clips:
            raise UserError(f"{source} has no frames of clip {name}")
        clip = clips[name]
        if np.prod(clip.size) * (clip.length or 0) > MOST_PIXELS:
            raise UserError(f"{source}: clip {name} is too large for the floor: add --no-floor")
        frames = np.stack(list(clip.frames()))
        lengths[name] = len(frames)
        if floor:
            tracks[name] = track_components(frames)
    return tracks, lengths


def last_frame(*clip: Tracks) -> int:
    """How many frames there are up to the last box."""
    return max((int(tracks.frame[-1]) + 1 for tracks in clip if len(tracks)), default=0)


def report(
    args: Args,
    gt: Mapping[str, Tracks],
    contenders: Mapping[str, Mapping[str, Tracks]],
    lengths: Mapping[str, int],
    guessed: int,
) -> None:
    """Scores the contenders, by the names of their rows (``OVERALL`` has clips too), prints and writes.

    ``guessed`` is the number of clips whose length nothing says.
    """
    from sqair.eval.mot import score
    from sqair.eval.scores import format_table, without_nan

    scores = {who: score(gt, tracks, lengths, iou=args.iou) for who, tracks in contenders.items()}
    floor = {who: s.overall for who, s in scores.items() if who != "OVERALL"}
    print(f"{len(gt)} clips, {sum(lengths.values())} frames; boxes match from IoU {args.iou:g}")
    print(scores["OVERALL"].table(more=floor))

    ignored = sum(int((tracks.score == 0).sum()) for tracks in gt.values())
    with_ignored = {}
    if ignored:
        for who, tracks in contenders.items():
            with_ignored[who] = score(gt, tracks, lengths, iou=args.iou, ignore=False).overall
        print(f"\nLeft out: {ignored} boxes to ignore, and the predictions that match them. With them:")
        print(format_table(list(with_ignored.items())))
    if guessed:
        print(f"\nNothing says how long {guessed} of the clips are: they end here with their last box.")

    if args.output:
        more = {**floor, **{f"{who} with ignored boxes": row for who, row in with_ignored.items()}}
        write_text(args.output / "scores.csv", scores["OVERALL"].csv(more=more))
        summary = {
            **scores["OVERALL"].as_dict(),
            "ignored_boxes": ignored,
            **{who: without_nan(row) for who, row in floor.items()},
            "with_ignored_boxes": {who.lower(): without_nan(row) for who, row in with_ignored.items()},
        }
        write_text(args.output / "scores.json", json.dumps(summary, indent=1, allow_nan=False) + "\n")
        print(f"\nWritten: {args.output / 'scores.csv'}, {args.output / 'scores.json'}")


if __name__ == "__main__":
    import sys

    from sqair.scripts.cli import run

    sys.exit(run("score"))
