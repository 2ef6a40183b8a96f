"""Small files as users have them: what is odd about each, what TrackEval says of them, and what sqair does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

LENGTH = 10


def rows(frames: Iterable[int] = range(1, LENGTH + 1), *, end: str = "", first: int = 1, x: float = 10) -> str:
    """Two objects that move."""
    return "".join(
        f"{t},{first + k},{x + 40 * k + 2 * t:g},{20 + k},20,30{end}\n" for t in frames for k in range(2)
    )


TRUTH, FOUND = rows(end=",1,1,1"), rows(range(1, LENGTH + 1), end=",0.9,-1,-1,-1", x=12)


def with_class(kind: int, conf: int = 0) -> str:
    """Truth with a third object, which is not of the class that is scored, and which is found, too."""
    return TRUTH + "".join(f"{t},9,300,{10 * t},20,30,{conf},{kind},1\n" for t in range(1, LENGTH + 1))


ALSO = FOUND + "".join(f"{t},9,300,{10 * t},20,30,0.9,-1,-1,-1\n" for t in range(1, LENGTH + 1))
"""Predictions that have it."""


@dataclass(frozen=True)
class Oddity:
    """Files of ground truth and predictions, and the benchmark by whose rule TrackEval reads them.

    ``crash`` is what TrackEval does where it should not be run.
    """

    what: str
    gt: str | bytes = TRUTH
    pred: str | bytes = FOUND
    benchmark: str = "mot17"
    length: int = LENGTH
    crash: str = ""

    def write(self, root: Path) -> None:
        (root / "gt" / "clip" / "gt").mkdir(parents=True)
        (root / "pred").mkdir()
        (root / "gt" / "clip" / "seqinfo.ini").write_text(f"[Sequence]\nseqLength={self.length}\n")
        for path, text in ((root / "gt" / "clip" / "gt" / "gt.txt", self.gt), (root / "pred" / "clip.txt", self.pred)):
            path.write_bytes(text.encode() if isinstance(text, str) else text)


def _each_line(text: str, change: Callable[[str], str]) -> str:
    return "".join(f"{change(line)}\n" for line in text.splitlines())


def _in_ms(text: str) -> str:
    """The rows with the times of a camera for their frame numbers."""
    lines = [line.split(",", 1) for line in text.splitlines()]
    return "".join(f"{1543358529500 + 40 * int(frame)},{rest}\n" for frame, rest in lines)


ODDITIES = [
    Oddity("plain: ids from 1, class 1, conf 1"),
    Oddity("ids from 0", rows(end=",1,1,1", first=0), rows(end=",0.9,-1,-1,-1", first=0, x=12)),
    Oddity("an id of 13 digits", TRUTH.replace(",1,", ",1543358529500,", 1), crash="8 TB of memory"),
    Oddity("a prediction on a car, class 3", with_class(3), ALSO),
    Oddity("a prediction on an occluder, class 9", with_class(9), ALSO),
    Oddity("a prediction on a static person, class 7", with_class(7), ALSO),
    Oddity("the same, of conf 1", with_class(7, conf=1), ALSO),
    Oddity("a prediction on a vehicle, class 6, in MOT17", with_class(6), ALSO),
    Oddity("the same in MOT20", with_class(6), ALSO, "mot20"),
    Oddity("a prediction on a pedestrian of conf 0", with_class(1), ALSO),
    Oddity("the same in MOT15", with_class(1).replace(",1,1\n", ",-1,-1,-1\n"), ALSO, "mot15"),
    Oddity("truth of conf -1", rows(end=",-1,1,1")),
    Oddity("truth of conf 0.9", rows(end=",0.9,1,1")),
    Oddity("truth of ten columns, the last a place in the world", rows(end=",1,16.4,2.5,0"), benchmark="mot15"),
    Oddity("truth of class 0, conf -1", rows(end=",-1,0,-1"), benchmark="mot15"),
    Oddity("truth of class 3 only", rows(end=",1,3,1")),
    Oddity("truth of class 14", rows(end=",1,14,1")),
    Oddity("predictions of class 1", pred=rows(end=",0.9,1,-1,-1", x=12)),
    Oddity("predictions of class 3", pred=rows(end=",0.9,3,-1,-1", x=12)),
    Oddity("predictions of 7 columns", pred=rows(end=",0.9", x=12)),
    Oddity("predictions of 6 columns", pred=rows(x=12)),
    Oddity("truth of 7 columns", rows(end=",1")),
    Oddity("predictions of id -1: detections", pred=FOUND.replace(",1,", ",-1,").replace(",2,", ",-1,")),
    Oddity("a byte order mark of UTF-8", b"\xef\xbb\xbf" + TRUTH.encode(), b"\xef\xbb\xbf" + FOUND.encode()),
    Oddity("UTF-16, as some shells write", pred=FOUND.encode("utf-16")),
    Oddity("lines that end as on Windows", TRUTH.replace("\n", "\r\n"), FOUND.replace("\n", "\r\n")),
    Oddity("lines that end as on an old Mac", TRUTH.replace("\n", "\r"), FOUND.replace("\n", "\r")),
    Oddity("tabs", TRUTH.replace(",", "\t"), FOUND.replace(",", "\t")),
    Oddity("spaces", TRUTH.replace(",", " "), FOUND.replace(",", " ")),
    Oddity("semicolons", TRUTH.replace(",", ";"), FOUND.replace(",", ";")),
    Oddity("spaces after commas", TRUTH.replace(",", ", "), FOUND.replace(",", ", ")),
    Oddity("a comma at the end of each row", TRUTH.replace("\n", ",\n"), FOUND.replace("\n", ",\n")),
    Oddity("a line of headings", "frame,id,x,y,w,h,conf,class,visibility\n" + TRUTH),
    Oddity(
        "numbers with exponents",
        pred=_each_line(FOUND, lambda line: ",".join(f"{float(word):.18e}" for word in line.split(","))),
    ),
    Oddity("an empty file of predictions", pred=""),
    Oddity("frames from 0", rows(range(10), end=",1,1,1"), rows(range(10), end=",0.9,-1,-1,-1", x=12)),
    Oddity("a frame after the last", pred=FOUND + "11,1,12,20,20,30,0.9,-1,-1,-1\n"),
    Oddity("an id twice in a frame", pred=FOUND + "10,1,12,20,20,30,0.9,-1,-1,-1\n"),
    Oddity("a box of no area", TRUTH + "10,7,300,20,0,30,1,1,1\n"),
    Oddity("a box of negative width", pred=FOUND.replace(",20,30,", ",-20,30,", 1)),
    Oddity("frames that are times in ms", _in_ms(TRUTH), _in_ms(FOUND), length=2**41, crash="18 TB of memory"),
    Oddity(
        "truth on every tenth frame",
        rows(range(1, 101, 10), end=",1,1,1"),
        rows(range(1, 101), end=",0.9,-1,-1,-1"),
        length=100,
    ),
    Oddity(
        "truth one pixel off, on small things",
        "".join(f"{t},1,{9 * t},5,4,5,1,1,1\n" for t in range(1, 11)),
        "".join(f"{t},1,{9 * t - 1},4,4,5,0.9,-1,-1,-1\n" for t in range(1, 11)),
    ),
]
