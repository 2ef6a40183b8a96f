"""What the operating system makes of small tensors: freed memory is kept, and one thread is faster than several."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def one_thread() -> Iterator[None]:
    """Operations of PyTorch use one thread within; small tensors lose more to handing over than they gain."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
