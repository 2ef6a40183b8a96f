"""The weights for any camera, ``any-camera``: fitted to footage by a survey, to track at once or to train on."""

from __future__ import annotations

from collections.abc import Sequence

from sqair.camera import Stabilise
from sqair.datasets.clip import ClipSource
from sqair.datasets.suggest import describe, untrained
from sqair.datasets.survey import Survey, survey
from sqair.errors import UserError
from sqair.model import SQAIR

ANY_CAMERA = "any-camera"


def fitted_to(seen: Survey, name: str = ANY_CAMERA, device: str = "cpu") -> SQAIR:
    """Weights that were trained on other footage, on a canvas and with sizes for what was ``seen``.

    The price of an object is that of the weights for things of the size that they know, and as much less as fewer
    pixels tell of smaller ones. Raises UserError as ``from_pretrained`` does.
    """
    trained = SQAIR.from_pretrained(name, device)
    config = untrained(seen, trained.config)
    smaller = min(1.0, (config.size_mean / trained.config.size_mean) ** 2)
    return trained.refitted(config, trained.price * smaller)


def any_camera(clips: Sequence[ClipSource], device: str, stabilise: Stabilise = "auto") -> SQAIR:
    """The weights for any camera, fitted to ``clips``; what a survey of these saw is printed.

    Raises:
        UserError: a clip is of a camera, which is seen once, or as ``survey`` does.
    """
    if any(clip.length is None and isinstance(clip.path, str) for clip in clips):
        raise UserError(f"{clips[0].path}: what fits is told from a clip: record one, or choose a --model")
    seen = survey(clips, stabilise)
    model = fitted_to(seen, device=device)
    print(describe(seen, model.config), flush=True)
    return model
