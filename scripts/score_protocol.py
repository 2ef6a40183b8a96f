"""``sqair score --protocol``: the scores that published trackers of this family are known by, beside the floor."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sqair.errors import UserError
from sqair.eval.floor import mask_components
from sqair.eval.protocols import COLUMNS, score_ocrb, score_silot, score_tba, silot_by_objects
from sqair.eval.scores import aligned, without_nan
from sqair.files.masks import ENDING, read_masks, read_segments
from sqair.scripts.score import (
    Args,
    last_frame,
    look_at_frames,
    prepare_output,
    read_rows_of,
    spare_inputs,
    write_files,
)
from sqair.scripts.score_floor import list_frames
from sqair.words import count

Row = Mapping[str, float]


def score_by_protocol(args: Args) -> None:
    """Runs ``sqair score`` with a protocol.

    Raises:
        UserError: as ``sqair.scripts.score.main`` does, or a flag has no meaning with this protocol.
    """
    patch = check_flags(args)
    rows = _score_masks(args) if args.protocol == "ocrb" else _score_boxes(args, patch)
    overall = rows["OVERALL"]
    print(f"protocol {args.protocol}, {count(int(overall['frames']), 'frame')}; shares are in percent")
    print(table(str(args.protocol), rows))
    if args.output:
        write(args.output, str(args.protocol), rows)


def check_flags(args: Args) -> tuple[int, int] | None:
    """The size (H, W) that ``--patch`` says, if any. Raises UserError on flags that do not go with the protocol."""
    if args.patch is not None and args.protocol != "tba":
        raise UserError("--patch goes with --protocol tba only")
    fixed = {"--iou": args.iou != 0.5, "--benchmark": args.benchmark != "auto", "--frames": args.frames != "auto"}
    fixed["--frames-from"] = args.frames_from is not None and args.protocol == "ocrb"
    for flag, given in fixed.items():
        if given:
            raise UserError(f"{flag}: --protocol {args.protocol} says that itself; leave it out")
    if args.patch is None:
        return None
    sides = re.fullmatch(r"(\d+)(?:x(\d+))?", args.patch)
    height, width = (int(sides[1]), int(sides[2] or sides[1])) if sides else (0, 0)
    if not (height and width):
        raise UserError(f"--patch {args.patch}: give a side in pixels, such as 28, or height x width, such as 28x20")
    return height, width


def _score_boxes(args: Args, patch: tuple[int, int] | None) -> dict[str, Row]:
    """The rows of ``tba`` or ``silot``."""
    truths, pred = read_rows_of(args, full=args.protocol == "tba")
    floor, counted = look_at_frames(args, truths)
    lengths = [t.length or counted.get(name) or last_frame(t.rows, pred[name]) for name, t in truths.items()]
    gt = [truth.rows.tracks() for truth in truths.values()]
    contenders = {"OVERALL": [rows.tracks() for rows in pred.values()]}
    if floor:
        contenders["floor"] = [floor[name] for name in truths]
    if patch is not None and any((tracks.box[:, 2:] != patch[::-1]).any() for tracks in gt):
        print("The ground truth has boxes of other sizes than --patch, which is for data of whole patches.")
    if args.protocol == "tba":
        return {who: score_tba(gt, found, lengths, patch=patch) for who, found in contenders.items()}
    rows: dict[str, Row] = {}
    for who, found in contenders.items():
        for n, row in silot_by_objects(gt, found, lengths).items():
            rows[count(n, "object") + (", floor" if who == "floor" else "")] = row
    return {**rows, **{who: score_silot(gt, found, lengths) for who, found in contenders.items()}}


def _score_masks(args: Args) -> dict[str, Row]:
    """The rows of ``ocrb``."""
    if args.truth.suffix.lower() != ".npz":
        raise UserError(f"{args.truth}: --protocol ocrb compares masks: give an .npz of `sqair generate --masks`")
    segments = read_segments(args.truth)
    names = [f"{i:06d}" for i in range(len(segments))]
    files = _mask_files(args, names)
    spare_inputs(args, [args.truth, *files.values()])
    prepare_output(args.output, args.overwrite)
    masks = [read_masks(files[name]) if name in files else np.zeros_like(segments[0]) for name in names]
    for name, found in zip(names, masks, strict=True):
        if found.shape != segments.shape[1:]:
            raise UserError(f"{files[name]}: masks are {list(found.shape)}, the clip is {list(segments.shape[1:])}")
    rows: dict[str, Row] = {"OVERALL": score_ocrb(segments, masks)}
    if args.floor:
        frames = _frames(args.truth, names)
        ways = ([mask_components(clip, by_colour=way) for clip in frames] for way in (False, True))
        rows["floor"] = max((score_ocrb(segments, masks) for masks in ways), key=lambda row: row["mota"])
    return rows


def _mask_files(args: Args, names: list[str]) -> dict[str, Path]:
    """The mask files of clips by their names; a single file goes with a single clip."""
    if len(names) == 1 and args.pred.is_file():
        return {names[0]: args.pred}
    if not args.pred.is_dir():
        raise UserError(f"{args.pred}: give the folder that `sqair track --masks` wrote")
    files = {name: args.pred / f"{name}{ENDING}" for name in names}
    missing = [name for name, file in files.items() if not file.is_file()]
    if missing and not args.allow_missing:
        raise UserError(
            f"{args.pred} has no {missing[0]}{ENDING}, which `sqair track --masks` writes; "
            "--allow-missing scores such clips as found empty"
        )
    return {name: file for name, file in files.items() if name not in missing}


def _frames(source: Path, names: list[str]) -> list[np.ndarray]:
    """The frames ``[T, H, W]`` or ``[T, H, W, C]`` of each of the clips."""
    try:
        clips = list_frames(str(source), names)
    except UserError as error:
        raise UserError(f"{error}; --no-floor scores without the frames") from error
    return [np.stack(list(clips[name].frames())) for name in names]


def table(protocol: str, rows: Mapping[str, Row]) -> str:
    """The rows under the headings of the protocol."""
    columns = COLUMNS[protocol]
    cells = [[name, *(_cell(row[key]) for key in columns)] for name, row in rows.items()]
    return aligned([["", *columns.values()], *cells])


def _cell(value: float) -> str:
    if math.isnan(value):
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.2f}"


def write(output: Path, protocol: str, rows: Mapping[str, Row]) -> None:
    """Writes scores.csv and scores.json."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["row", *COLUMNS[protocol]])
    for name, row in rows.items():
        writer.writerow([name, *("" if math.isnan(row[key]) else row[key] for key in COLUMNS[protocol])])
    summary = {"protocol": protocol, **{name.lower(): without_nan(row) for name, row in rows.items()}}
    write_files(output, out.getvalue(), summary)
