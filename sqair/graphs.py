"""Work of fixed sizes on a GPU: recorded once, and replayed as one.

A step is thousands of small operations, and issuing one takes longer than computing it. What a CUDA graph records is
issued as one, if nothing in it waits for a number or depends on one (roster.Fixed).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

WARM_UP = 3
"""Calls before one is recorded: what is made once, such as plans of Fourier transforms, is made in them."""
T = TypeVar("T")


class Recorded(Generic[T]):
    """A function of tensors, any of which may be None; replayed on a GPU, and only called anywhere else.

    Sizes that differ from those before begin anew. What it gives holds until it is called again, on a GPU in the same
    tensors. Work that changes tensors, such as parameters, does so in each call, the first ones too.
    """

    def __init__(self, work: Callable[..., T], generator: torch.Generator | None = None) -> None:
        """``generator`` is the source of all random numbers in ``work``."""
        self.work, self.generator = work, generator
        self._sizes: object = None
        self._calls = 0
        self._refused = False
        self._inputs: list[Tensor | None] = []
        self._graph: torch.cuda.CUDAGraph | None = None
        self._found: T | None = None

    def __call__(self, *inputs: Tensor | None) -> T:
        if not any(x is not None and x.is_cuda for x in inputs):
            return self.work(*inputs)
        sizes = [None if x is None else (x.shape, x.dtype) for x in inputs]
        if sizes != self._sizes:
            self._sizes, self._calls, self._graph, self._found = sizes, 0, None, None
            self._inputs = [None if x is None else torch.empty_like(x) for x in inputs]
        for mine, x in zip(self._inputs, inputs, strict=True):
            if mine is not None and x is not None:
                mine.copy_(x)
        self._calls += 1
        if self._graph is None and self._calls > WARM_UP and not self._refused:
            self._graph = self._record()
        if self._graph is None:
            return self._aside()
        self._graph.replay()
        assert self._found is not None
        return self._found

    def _aside(self) -> T:
        """A call on a stream of its own, as a recording is."""
        stream, here = torch.cuda.Stream(), torch.cuda.current_stream()
        stream.wait_stream(here)
        with torch.cuda.stream(stream):
            found = self.work(*self._inputs)
        here.wait_stream(stream)
        return found

    def _record(self) -> torch.cuda.CUDAGraph | None:
        """The graph of a call, which is not run; None where it cannot be recorded: then it goes on as it is, slower."""
        graph = torch.cuda.CUDAGraph()
        if self.generator is not None:
            graph.register_generator_state(self.generator)
        try:
            with torch.cuda.graph(graph):
                self._found = self.work(*self._inputs)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self._refused, self._found = True, None
            warnings.warn(f"not recorded for the GPU, and slower: {error}", stacklevel=2)
            return None
        return graph
