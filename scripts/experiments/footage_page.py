"""The page of ``sqair experiments footage``: its table, frames of each clip with their tracks, and two short videos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from sqair.datasets.clip import ClipSource
from sqair.datasets.images import opencv
from sqair.datasets.overlay import TRAIL, draw_tracks
from sqair.datasets.video import read_source
from sqair.datasets.video_out import playable, write_video
from sqair.eval.report import Report
from sqair.eval.words import terms
from sqair.files.mot_io import read_mot
from sqair.frames import Fit
from sqair.scripts.pictures import encode_small
from sqair.scripts.score_floor import count_frames
from sqair.tracks import Tracks

SIDE = 640
"""Longest side of pictures and videos, pixels, unless frames are enlarged to be seen at all."""
STILLS = 2
"""Frames of a clip that are shown, evenly apart."""
SECONDS, VIDEO_BYTES = 4.0, 0.8e6
"""Of a video, at most, about."""
WHITE = (255, 255, 255)
HELP = (
    "Coloured boxes are what was found, each with its id and the trail of where it was. Thin white ones are ground "
    "truth, which no tracker has seen."
)
NO_PICTURES = "No pictures: its video or its tracks are not where they were when it was measured."


class Shown(NamedTuple):
    """A clip, the folder of its tracks, in which way they were made, and their HOTA and that of blobs."""

    name: str
    video: Path
    truth: Path
    tracks: Path
    way: str
    hota: float
    blobs: float

    @property
    def ahead(self) -> float:
        """By how much HOTA is higher than that of blobs."""
        return self.hota - self.blobs

    @property
    def said(self) -> str:
        """HOTA, and that of blobs, in words."""
        return f"HOTA {self.hota:.3f} ({self.way}), blobs {self.blobs:.3f}"


class Seen(NamedTuple):
    """What there is to be drawn of a clip of ``length`` frames, the numbers of its lost ones included."""

    clip: ClipSource
    length: int
    tracks: Tracks
    truth: Tracks


def page_of(clips: Sequence[Shown], rows: Sequence[Sequence[str]], head: Sequence[str]) -> Report:
    """The page of a study: the ``rows`` of its table below their ``head``, and pictures of each of its clips.

    A clip of which the video, the ground truth or the tracks are missing has no pictures.

    Raises:
        UserError: one of these files is there and cannot be read.
    """
    won = sum(clip.ahead > 0 for clip in clips)
    report = Report("Footage").lead(f"Ahead of blobs, in HOTA, on **{won} of {len(clips)}** clips.")
    report.text(
        "What `sqair track` finds in clips of cameras that do not move. Blobs learn nothing: what differs from the "
        "median scene is linked from frame to frame. Of several ways to track a clip the one with the highest HOTA is "
        "counted and shown in pictures."
    )
    report.table(named(rows), head, terms=terms(("mota", "idf1", "hota", "motp_iou")))
    seen = {clip.name: found for clip in clips if (found := see(clip))}
    add_videos(report, [clip for clip in clips if clip.name in seen], seen)
    for clip in clips:
        report.text(f"## {clip.name}\n\n{clip.said}.")
        if clip.name in seen:
            add_stills(report, clip, seen[clip.name])
        else:
            report.text(NO_PICTURES)
    return report


def named(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Rows of which the first cell is that of the row above where it is empty: on a phone each stands alone."""
    found: list[list[str]] = []
    for name, *rest in rows:
        found.append([name or found[-1][0], *rest])
    return found


def see(shown: Shown) -> Seen | None:
    """The clip, its tracks and its ground truth; None if a file is missing."""
    if not (shown.video.exists() and shown.truth.exists()):
        return None
    (clip,) = read_source(str(shown.video))
    path = shown.tracks / f"{clip.name}.txt"
    if not path.exists():
        return None
    truth = read_mot(shown.truth)
    return Seen(clip, clip.length or count_frames(clip), read_mot(path), truth.where(truth.score > 0))


def add_videos(report: Report, clips: Sequence[Shown], seen: dict[str, Seen]) -> None:
    """Videos of the clips that are the most and the least ahead of blobs, of those that can be ``seen``."""
    if not clips:
        return
    report.text(f"## The most and the least ahead of blobs\n\n{HELP}")
    order = sorted(clips, key=lambda clip: -clip.ahead)
    for clip in dict.fromkeys((order[0], order[-1])):
        data, span = video(seen[clip.name])
        report.video(data, f"{clip.name}, frames {span.start + 1} to {span.stop}: {clip.said}.")


def add_stills(report: Report, shown: Shown, seen: Seen) -> None:
    """Some frames of a clip."""
    numbers = np.unique(np.linspace(0, seen.length - 1, STILLS + 2)[1:-1].round().astype(int)).tolist()
    for number, image in drawn(seen, numbers):
        report.figure(encode_small(image), f"{shown.name}, frame {number + 1} of {seen.length}.")


def video(seen: Seen) -> tuple[bytes, range]:
    """The middle of a clip as the bytes of an ``.mp4``, and which frames that is."""
    fps = playable(seen.clip.fps)
    count = min(seen.length, round(SECONDS * fps))
    start = (seen.length - count) // 2
    span = range(start, start + count)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_video(path, (image for _, image in drawn(seen, span)), fps, rate=VIDEO_BYTES * fps / count)
        return path.read_bytes(), span


def drawn(seen: Seen, numbers: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    """The frames of these ``numbers``, which rise, each with its number: RGB ``[h, w, 3]``; lost ones are left out."""
    for frame in seen.clip.stamped():
        if frame.number in numbers:
            yield frame.number, draw(frame.image, frame.number, seen)
        if frame.number >= numbers[-1]:
            return


def draw(frame: np.ndarray, number: int, seen: Seen) -> np.ndarray:
    """A frame, uint8 ``[H, W]`` or ``[H, W, 3]``, with its tracks, and its ground truth in thin lines: RGB."""
    height, width = frame.shape[:2]
    shrink = min(1.0, SIDE / max(height, width))
    fit = Fit((height, width), (max(1, round(shrink * height)), max(1, round(shrink * width))))
    small = fit.frame(frame)[: fit.inner[0], : fit.inner[1]]
    around = [seen.tracks.at(t) for t in range(number - TRAIL, number + 1)]
    *before, now = [replace(rows, box=rows.box * fit.scale) for rows in around]
    image = draw_tracks(small, now, before)
    scale = fit.scale * image.shape[1] / small.shape[1]
    for left, top, across, down in seen.truth.at(number).box * scale:
        corners = (round(left), round(top)), (round(left + across) - 1, round(top + down) - 1)
        opencv().rectangle(image, *corners, WHITE, 1)
    return image
