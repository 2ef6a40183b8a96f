"""Columns of whole numbers as a short text, for scripts of a page."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence

import numpy as np


def packed(columns: Sequence[np.ndarray]) -> str:
    """C columns of integers ``[N]`` in base64: zlib of their first differences, ``[C, 4, N]`` bytes, lowest first.

    Differences are of 32 bits; values may be as large as doubles hold without a loss.
    """
    steps = np.stack([np.diff(column.astype(np.int64), prepend=0) for column in columns]).astype("<i4")
    planes = steps[..., None].view(np.uint8).transpose(0, 2, 1)
    return base64.b64encode(zlib.compress(planes.tobytes(), 9)).decode()
