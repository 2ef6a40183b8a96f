"""Sequential Attend, Infer, Repeat: find, follow and explain the objects of a video without labels.

What is named here is loaded when it is asked for.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqair.config import ModelConfig, Stage, TrainConfig
    from sqair.model import SQAIR
    from sqair.scripts.api import score, train
    from sqair.tracker import Tracker
    from sqair.tracks import Tracks

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # before anything imports cv2: errors are told in one line

__version__ = "0.1.0"
__all__ = ["SQAIR", "ModelConfig", "Stage", "Tracker", "Tracks", "TrainConfig", "score", "train"]

_PLACES = {
    "SQAIR": "sqair.model",
    "ModelConfig": "sqair.config",
    "Stage": "sqair.config",
    "TrainConfig": "sqair.config",
    "Tracker": "sqair.tracker",
    "Tracks": "sqair.tracks",
    "score": "sqair.scripts.api",
    "train": "sqair.scripts.api",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'sqair' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
