"""What looks on while clips are tracked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from sqair.datasets.clip import ClipSource
from sqair.scripts.arenas import Arenas
from sqair.tracks import Tracks


class Onlooker(Protocol):
    """Sees a clip while it is tracked, and then its rows; of clips that are tracked together, their rows alone."""

    def watch(self, clip: ClipSource, pairs: Iterator[tuple[np.ndarray, Tracks]], arenas: Arenas) -> None:
        """Goes through frames with their tracks, as those of ``arenas`` have just explained the last of them."""
        ...

    def tell(self, clip: ClipSource, tracks: Tracks, times: tuple[np.ndarray, np.ndarray]) -> None:
        """The rows of a clip, under the ids that it was decided on, and the numbers and seconds of its T frames."""
        ...
