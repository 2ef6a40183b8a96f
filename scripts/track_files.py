"""``sqair track`` of many files: each is opened, tracked and published by itself, several at a time if asked for."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from sqair.datasets.listing import Part
from sqair.datasets.regions import Choice
from sqair.errors import UserError
from sqair.scripts.adapt import FOLDER as ADAPTED
from sqair.scripts.adapt import adapt, check_adapt
from sqair.scripts.crew import do_all
from sqair.scripts.exporting import wanted_of
from sqair.scripts.interrupts import Interrupts
from sqair.scripts.outcome import claim_output, found_in
from sqair.scripts.remarks import Remarks
from sqair.scripts.track import Args
from sqair.scripts.track_part import Failed, Plan, Tracked, entries_of
from sqair.scripts.track_plan import earlier, left_of, model_of, save_plan, settings_of, share_of
from sqair.scripts.track_record import FOLDER, Record, Records
from sqair.words import count

SHOWN_SECONDS = 0.2
"""Between two looks of the bar."""
NAMED = 50
"""Clips that failed which are named once more at the end."""


def track_files(args: Args, parts: Sequence[Part]) -> float:
    """Tracks ``parts``, see ``sqair.scripts.track.main``; returns the frames tracked per second."""
    _check(args)
    mine, records, wanted = share_of(parts, args.shard), Records(args.output), wanted_of(args)
    settings = settings_of(args, wanted)
    _claim(args, mine, [*entries_of(mine, args, wanted), *([ADAPTED] if args.adapt else [])])
    if not mine:
        print(f"--shard {args.shard}: {count(len(parts), 'clip')}, and none of them for this part")
        return 0.0
    before = earlier(records, parts, settings, overwrite=args.overwrite) if args.resume else None
    if args.adapt:
        args = replace(args, model=str(adapt(args)))
    name, model = model_of(args, parts, before)
    with tempfile.TemporaryDirectory() as folder, Interrupts() as interrupts:
        run = records.named(save_plan(name, model, settings, Path(folder) / "weights"))
        slots = sys.maxsize if args.max_objects else model.config.slots
        plan = Plan(args, wanted, run, Path(folder) / "weights", slots)
        left, done = left_of(records, mine, run, args, wanted) if args.resume else (mine, [])
        records.write_run(run)
        watch = _Watch(records, plan, len(left), interrupts)
        try:
            with watch:
                do_all(left, plan.tracker, args.processes, watch)
        finally:
            if not args.shard:
                _tidy(args.output)
    return watch.report(mine, done)


def _check(args: Args) -> None:
    """Raises UserError where options do not go together."""
    Choice(args.region, args.exclude).zones()
    if args.adapt and args.model == "auto":
        args = replace(args, model="any-camera")
    check_adapt(args)
    if args.adapt and args.shard:
        raise UserError("--adapt: each part of --shard would train anew: run sqair train --data once, give its --model")
    if args.show and args.processes > 1:
        raise UserError("--show: one window shows one clip at a time: leave out --processes")


def _claim(args: Args, mine: Sequence[Part], entries: Sequence[str]) -> None:
    """Raises UserError, before any work, if files are in the way: of a shard those of its own clips alone."""
    records = Records(args.output)
    there = not args.resume and not args.overwrite and (args.output / FOLDER).is_dir()
    if there and (not args.shard or any(records.record(part.name) for part in mine)):
        raise UserError(
            f"{args.output} is not empty: choose another --output, or add --resume to do what is left of its run, "
            "or --overwrite to replace that"
        )
    own = args.resume or args.shard is not None
    claim_output(replace(args, overwrite=True) if own else args, entries)
    if not args.resume and not args.overwrite:
        records.refuse(set(entries))


def _tidy(output: Path) -> None:
    """Leaves no trace of a run that has done nothing."""
    if not (output / FOLDER / "clips").exists():
        shutil.rmtree(output / FOLDER, ignore_errors=True)
        with suppress(OSError):
            output.rmdir()  # does nothing unless the folder is empty


class _Watch:
    """Waits for all clips, and shows how far they are."""

    def __init__(self, records: Records, plan: Plan, clips: int, interrupts: Interrupts) -> None:
        self._records, self._plan, self._interrupts = records, plan, interrupts
        self._bar = tqdm(total=clips, unit="clip", disable=None)
        self._began, self._frames, self._shown = time.monotonic(), 0, 0.0
        self._done: list[Record] = []
        self._failed: list[str] = []
        self._full = False
        self._notes = Remarks(plan.slots)

    def __enter__(self) -> None:
        self._bar.__enter__()

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def stopped(self) -> bool:
        return self._interrupts.caught is not None or self._full

    def told(self, amount: int) -> None:
        self._frames += amount
        now = time.monotonic()
        if now - self._shown > SHOWN_SECONDS:
            self._bar.set_postfix_str(f"{self._frames} frames, {self._frames / (now - self._began):.0f} a second")
            self._shown = now

    def said(self, text: str) -> None:
        self._bar.write(text)

    def ended(self, task: Part, result: object) -> None:
        if isinstance(result, Tracked):
            self._done.append(result.record)
            self._notes.add(result.notes)
            if result.record.cut:
                self.said(f"cut short: {result.record.cut}")
        elif isinstance(result, Failed):
            self._full = result.full
            self._failed.append(result.message)
            self.said(f"failed: {result.message}")
        self._bar.update()

    def dropped(self, task: Part) -> None:
        self._records.clean(task.name)

    def lost(self, task: Part, how: str) -> None:
        self.dropped(task)
        self.ended(task, Failed(f"{task.path}: the process that tracked it {how}"))

    def report(self, parts: Sequence[Part], before: Sequence[Record]) -> float:
        """Says what was found and what was not, and returns the frames tracked per second.

        Raises UserError if a clip failed or was cut short, SystemExit if a signal ended it.
        """
        output = self._plan.args.output
        frames = sum(record.frames for record in self._done)
        rate = frames / (time.monotonic() - self._began)
        for line in self._notes.lines():
            print(line)
        if before:
            print(f"done before: {len(before)} of {count(len(parts), 'clip')}")
        if self._done:
            objects = sum(record.objects for record in self._done)
            print(f"{found_in(objects, frames, len(self._done), rate)}: {output}")
        if self._interrupts.caught is not None:
            done = f"{len(self._done) + len(before)} of {count(len(parts), 'clip')}"
            print(f"stopped; done, and in {output}: {done}; go on with the same command and --resume")
            raise SystemExit(128 + self._interrupts.caught)
        cut = [record.cut for record in (*before, *self._done) if record.cut]
        self._complain(cut, len(parts))
        return rate

    def _complain(self, cut: Sequence[str], clips: int) -> None:
        output = self._plan.args.output
        again = "the same command with --resume tries again"
        wrong = [*cut, *self._failed]
        if self._full:
            raise UserError(f"{self._failed[-1]}; what is done is in {output}, {again} when there is room")
        if len(wrong) > 1:
            lines = [*(f"cut short: {line}" for line in cut), *(f"failed: {line}" for line in self._failed)]
            print("\n".join(lines[:NAMED] + ["..."] * (len(lines) > NAMED)), flush=True)
            kept = f", {len(cut)} cut short, with tracks up to there" if cut else ""
            failed = f"{len(self._failed)} of {clips} clips failed{kept}, as said above"
            raise UserError(f"{failed}; the others are in {output}; {again}")
        if self._failed:
            others = f"; the other {clips - 1} clips are in {output}; {again}" if clips > 1 else ""
            raise UserError(f"{self._failed[0]}{others}")
        if cut:
            raise UserError(f"{cut[0]}; the tracks of these are in {output}")
