"""The process that works on small tensors: it keeps the memory it frees, and one thread is faster than several."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import torch

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> None:
    """Lets the process keep what it frees: page faults cost more than the arithmetic of small tensors.

    Call it before the first tensor is made. Does nothing where the C library has no ``mallopt``.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, 1 << 30)
    mallopt(_TOP_PAD, 1 << 26)


def set_threads(number: int) -> None:
    """One operation of PyTorch or OpenCV uses so many threads, in this process from now on."""
    torch.set_num_threads(number)
    cv2.setNumThreads(number)


@contextmanager
def threads(number: int | None) -> Iterator[None]:
    """One operation uses so many threads within the block, and as many as before after it; None changes nothing."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    if number is None or before == (number, number):
        yield
        return
    set_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
