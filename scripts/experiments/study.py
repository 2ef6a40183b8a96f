"""A study in a folder: what it has measured so far, what is still to be measured, and the table that is made of it."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from tqdm import tqdm

Line = dict[str, Any]
Key = tuple[Any, ...]


def lines_of(lines: Iterable[Line], *start: Any) -> list[Line]:
    """The lines whose key begins so."""
    return [line for line in lines if tuple(line["key"][: len(start)]) == start]


def read_lines(path: Path) -> list[Line]:
    """The lines of a file of results; none without it."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class Study:
    """Lines of results.jsonl, each with a ``key`` by which it is found; what is measured is on disk at once.

    What has been measured is not measured again, so that a study that was stopped goes on.
    """

    def __init__(self, output: Path, workers: int = 1) -> None:
        """``output`` is made if need be; ``workers`` processes measure side by side."""
        output.mkdir(parents=True, exist_ok=True)
        self.output, self.workers, self.path = output, workers, output / "results.jsonl"
        self.lines: list[Line] = read_lines(self.path)

    def add(self, line: Line) -> None:
        self.lines.append(line)
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def has(self, *key: Any) -> bool:
        return any(tuple(line["key"]) == key for line in self.lines)

    def get(self, *key: Any) -> Line:
        return lines_of(self.lines, *key)[0]

    def measure(self, what: str, job: Callable[..., list[Line]], cells: Iterable[Key], *more: Any) -> None:
        """Does ``job(output, *cell, *more)`` for the cells, keys, of which there is no line, with a progress bar."""
        self.work(what, job, [(str(self.output), *cell, *more) for cell in cells if not self.has(*cell)])

    def work(self, what: str, job: Callable[..., list[Line]], calls: Sequence[Key]) -> None:
        """Does ``job`` with each of the arguments ``calls``, ``workers`` at a time; lines are stored as they come."""
        if not calls:
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self.workers, context) as pool, tqdm(total=len(calls), desc=what) as bar:
            waiting = [pool.submit(job, *call) for call in calls]
            try:
                for done in as_completed(waiting):
                    for line in done.result():
                        self.add(line)
                    bar.update()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def publish(self, table: str) -> None:
        """Prints the table, and writes it to table.md."""
        (self.output / "table.md").write_text(table + "\n")
        print(table)
