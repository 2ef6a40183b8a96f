"""How many threads one operation uses: with tensors as small as these, more than one is rather slower."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import torch


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
