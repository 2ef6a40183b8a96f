"""How well the frames that come are known: by the model, and by what needs none."""

from __future__ import annotations

import numpy as np
import torch

from sqair.eval.accounts import CLIPS, Account
from sqair.frames import to_frames
from sqair.imagine import predict
from sqair.model import SQAIR

METHODS = ("model", "constant velocity", "stays")


def predictions(model: SQAIR, clips: np.ndarray, account: Account, observed: int) -> dict[str, np.ndarray]:
    """Mean images ``[N, T - observed, C, H, W]`` of the frames after ``observed``, by each of ``METHODS``.

    The model's are those of ``imagine.predict``: the modes of the prior. What ``stays`` is the last frame that was
    observed. ``constant velocity`` cuts the picture of each object out of it (the ink in its box, as the model has the
    box) and moves it on by whole pixels, as far as its z_where moved between the last two frames; what is new stays.

    Args:
        clips: uint8 ``[N, T, H, W(, C)]``.
        account: what the model makes of all their frames; no frame after those observed is looked at.
    """
    horizon = clips.shape[1] - observed
    ahead = [_ahead(model, clips[i : i + CLIPS], observed, horizon) for i in range(0, len(clips), CLIPS)]
    seen = to_frames(clips[:, :observed]).transpose(0, 1).numpy()  # [N, observed, C, H, W]
    behind = np.zeros_like(seen[:, 0]) if model.config.background == "none" else np.median(seen, 1)
    moved = np.stack([_moved(account, n, seen[n, -1], behind[n], observed, horizon) for n in range(len(clips))])
    return {
        "model": np.concatenate(ahead),
        "constant velocity": moved,
        "stays": np.repeat(seen[:, -1:], horizon, 1),
    }


@torch.no_grad()
def _ahead(model: SQAIR, clips: np.ndarray, observed: int, horizon: int) -> np.ndarray:
    device = next(model.parameters()).device
    frames, _ = predict(model, to_frames(clips[:, :observed], device), horizon)
    return frames.transpose(0, 1).cpu().numpy()


def _moved(
    account: Account, clip: int, last: np.ndarray, behind: np.ndarray, observed: int, horizon: int
) -> np.ndarray:
    """Images ``[horizon, C, H, W]`` of the ``last [C, H, W]`` with its objects moved on before what is ``behind``."""
    now, before = (
        np.flatnonzero((account.clip == clip) & (account.frame == t)) for t in (observed - 1, observed - 2)
    )
    was = {int(account.id[row]): account.centre[row] for row in before}
    rest, cut = last.copy(), []
    for row in now:
        x, y, w, h = account.box[row].round().astype(int).tolist()
        at = np.s_[:, max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)]
        alone = np.zeros_like(last)
        alone[at] = last[at] - behind[at]
        rest[at] = behind[at]
        speed = account.centre[row] - was.get(int(account.id[row]), account.centre[row])
        cut.append((alone, speed))
    images = []
    for ahead in range(1, horizon + 1):
        image = rest - behind
        for alone, speed in cut:
            there = shifted(alone, *np.rint(ahead * speed).astype(int).tolist())
            image = np.where(np.abs(there) > np.abs(image), there, image)
        images.append((behind + image).clip(0, 1))
    return np.stack(images)


def shifted(image: np.ndarray, right: int, down: int) -> np.ndarray:
    """An image ``[C, H, W]`` moved by whole pixels; 0 where nothing comes from."""
    height, width = image.shape[1:]
    moved = np.zeros_like(image)
    if abs(right) >= width or abs(down) >= height:
        return moved
    to_y, to_x = slice(max(down, 0), height + min(down, 0)), slice(max(right, 0), width + min(right, 0))
    of_y, of_x = slice(max(-down, 0), height + min(-down, 0)), slice(max(-right, 0), width + min(-right, 0))
    moved[:, to_y, to_x] = image[:, of_y, of_x]
    return moved
