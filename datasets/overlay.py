"""Tracks drawn over frames, and panels of several pictures side by side.

An object has a box, its id, which counts from 1 as in MOTChallenge files, and the trail of the last ``TRAIL`` frames,
in a colour that is its id's alone.
Frames are uint8 ``[H, W]`` (grey) or RGB ``[H, W, 3]``; whatever is drawn is RGB.
"""

from __future__ import annotations

import colorsys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import pairwise

import numpy as np

from sqair.datasets.images import check_frame, enlarge, opencv, to_channels
from sqair.tracks import Tracks

TRAIL = 30
FAR = 30_000  # pixels
SHORT_SIDE = 400  # pixels to which the shorter side of small frames is enlarged, about


def auto_scale(height: int, width: int) -> int:
    """The whole factor that brings a frame's shorter side closest to ``SHORT_SIDE`` pixels, at least 1."""
    return max(1, round(SHORT_SIDE / min(height, width)))


@cache
def colour(track_id: int) -> tuple[int, int, int]:
    """A bright RGB colour, always the same for an id; hues of successive ids are a golden ratio apart."""
    rgb = np.array(colorsys.hsv_to_rgb((0.02 + track_id * 0.6180339887498949) % 1.0, 0.8, 1.0))
    luma = float(rgb @ (0.299, 0.587, 0.114))
    rgb += (1 - rgb) * max(0.0, (0.55 - luma) / (1 - luma))  # blues are too dark to read on black
    red, green, blue = (int(round(255 * value)) for value in rgb)
    return red, green, blue


def draw_tracks(
    frame: np.ndarray, tracks: Tracks, trail: Sequence[Tracks] = (), *, scale: int | None = None
) -> np.ndarray:
    """``frame``, enlarged, with the box, id and trail of every object in it.

    Args:
        frame: uint8 ``[H, W]`` or ``[H, W, 3]``.
        tracks: the rows of this frame.
        trail: the rows of the frames before it, oldest first; the last ``TRAIL`` are drawn, fading with age.
        scale: how often each pixel is repeated; None for :func:`auto_scale`.

    Returns:
        uint8 RGB ``[H * scale, W * scale, 3]``.
    """
    scale = scale or auto_scale(*frame.shape[:2])
    image = enlarge(frame, scale)
    thickness = max(1, round(min(image.shape[:2]) / 220))
    objects = list(zip(tracks.id.tolist(), _reachable(tracks.box * scale), strict=True))
    past = _centres([tracks, *reversed(trail[-TRAIL:])], scale)
    for track_id, _ in objects:
        points = [(age, at[track_id]) for age, at in enumerate(past) if track_id in at]
        _draw_trail(image, points, colour(track_id), thickness)
    for track_id, box in objects:
        _draw_box(image, box, colour(track_id), thickness)
    for track_id, box in objects:
        _draw_label(image, box, str(track_id + 1), colour(track_id))
    return image


def overlay(pairs: Iterable[tuple[np.ndarray, Tracks]], *, scale: int | None = None) -> Iterator[np.ndarray]:
    """:func:`draw_tracks` along a clip, given each frame with its rows in turn; keeps the trails itself."""
    trail: deque[Tracks] = deque(maxlen=TRAIL)
    for frame, rows in pairs:
        yield draw_tracks(frame, rows, tuple(trail), scale=scale)
        trail.append(rows)


def outlined(
    pictures: Iterable[np.ndarray], outlines: Sequence[tuple[str, np.ndarray, bool]], width: int
) -> Iterator[np.ndarray]:
    """RGB pictures ``[H, W, 3]`` of frames of a ``width`` with outlines and their names drawn in white.

    ``outlines`` are names, corners ``[K, 2]`` (x, y) in pixels of frames, and whether the last is joined to the first.
    """
    cv2 = opencv()
    for picture in pictures:
        scale = picture.shape[1] / width
        for name, corner, closed in outlines:
            points = np.rint(scale * corner).clip(-FAR, FAR).astype(np.int32)
            for line, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
                cv2.polylines(picture, [points], closed, line, thickness, cv2.LINE_AA)
            if not name:
                continue
            (width_of, height_of), _ = cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)
            x, y = int(points[0, 0]) + 2, int(points[0, 1]) + 2
            cv2.rectangle(picture, (x, y), (x + width_of + 6, y + height_of + 8), (0, 0, 0), cv2.FILLED)
            place = (x + 3, y + height_of + 4)
            cv2.putText(picture, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
        yield picture


def _reachable(box: np.ndarray) -> np.ndarray:
    """The part of boxes ``[M, 4]`` where OpenCV can draw: those of a model that diverges may be anywhere, or NaN."""
    corners = np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], 1)
    corners = np.nan_to_num(corners, nan=-FAR).clip(-FAR, FAR)
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)


def _centres(recent: Sequence[Tracks], scale: int) -> list[dict[int, list[int]]]:
    """The x and y of the centre of each id's box in each of ``recent``, in pixels of the enlarged frame."""
    box = _reachable(np.concatenate([rows.box for rows in recent]) * scale)
    centres = iter(np.rint(box[:, :2] + box[:, 2:] / 2).astype(int).tolist())
    return [{track_id: next(centres) for track_id in rows.id.tolist()} for rows in recent]


def _draw_trail(
    image: np.ndarray, points: list[tuple[int, list[int]]], rgb: tuple[int, int, int], thickness: int
) -> None:
    """Blend a line through ``points`` (age in frames, place), youngest first, fading with age."""
    cv2 = opencv()
    margin = thickness + 3
    places = np.array([place for _, place in points])
    left, top = (places.min(0) - margin).clip(0)
    right, bottom = (places.max(0) + margin + 1).clip(0)
    part = image[top:bottom, left:right]
    if not part.size:
        return
    strength = np.zeros(part.shape[:2], dtype=np.uint8)
    places = (places - (left, top)).tolist()
    for (end, start), (age, _) in reversed(list(zip(pairwise(places), points, strict=False))):
        fade = int(255 * (1 - age / (TRAIL + 1)))
        cv2.line(strength, start, end, fade, thickness, cv2.LINE_AA)
    cv2.circle(strength, places[0], thickness + 1, 255, cv2.FILLED, cv2.LINE_AA)
    rows, columns = divmod(np.flatnonzero(strength), strength.shape[1])
    alpha = strength[rows, columns, None] / 255
    part[rows, columns] = np.rint(part[rows, columns] * (1 - alpha) + np.array(rgb) * alpha).astype(np.uint8)


def _draw_box(image: np.ndarray, box: np.ndarray, rgb: tuple[int, int, int], thickness: int) -> None:
    """An outline just outside of ``box`` (x, y, w, h), with a dark rim to show on bright ground."""
    cv2 = opencv()
    left, top = np.rint(box[:2]).astype(int) - 1
    right, bottom = np.rint(box[:2] + box[2:]).astype(int)
    for line, width in (((0, 0, 0), thickness + 2), (rgb, thickness)):
        cv2.rectangle(image, (int(left), int(top)), (int(right), int(bottom)), line, width)


def _draw_label(image: np.ndarray, box: np.ndarray, text: str, rgb: tuple[int, int, int]) -> None:
    """A filled tag with ``text``, inside the image, on the top left corner of a box that is not outside."""
    cv2 = opencv()
    height, width = image.shape[:2]
    if box[0] >= width or box[1] >= height or (box[:2] + box[2:] <= 0).any():
        return
    size = max(0.5, min(height, width) / 900)
    (text_width, text_height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    tag_width, tag_height = text_width + 7, text_height + 7
    x = int(np.clip(round(box[0]) - 1, 0, max(0, width - tag_width)))
    y = int(np.clip(round(box[1]) - tag_height, 0, max(0, height - tag_height)))
    cv2.rectangle(image, (x, y), (x + tag_width - 1, y + tag_height - 1), rgb, cv2.FILLED)
    place = (x + 3, y + tag_height - 4)
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, (0, 0, 0), 1, cv2.LINE_AA)


def panel(images: Sequence[np.ndarray], labels: Sequence[str]) -> np.ndarray:
    """Pictures side by side under their labels, enlarged to the height of the tallest; RGB ``[H, W, 3]``."""
    cv2 = opencv()
    height = max(image.shape[0] for image in images)
    band, gap, ground = max(24, height // 16), 8, 24
    columns = []
    for image, label in zip(images, labels, strict=True):
        check_frame(image)
        size = (round(image.shape[1] * height / image.shape[0]), height)
        picture = cv2.resize(to_channels(image, 3), size, interpolation=cv2.INTER_NEAREST)
        head = np.full((band, size[0], 3), ground, dtype=np.uint8)
        place = (4, band - band // 3)
        cv2.putText(head, label, place, cv2.FONT_HERSHEY_SIMPLEX, band / 50, (225, 225, 225), 1, cv2.LINE_AA)
        columns += [np.concatenate([head, picture]), np.full((band + height, gap, 3), ground, dtype=np.uint8)]
    return np.concatenate(columns[:-1], axis=1)
