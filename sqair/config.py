"""Configuration: frozen dataclasses with one docstring per field, and named presets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class TemporalConfig:
    """The four temporal dependencies of section 7 of the seed; with all four off the model is per-frame AIR."""

    hidden: bool = True
    """Each object carries a recurrent hidden state from frame to frame."""
    position: bool = True
    """z_where depends on the object's last positions."""
    appearance: bool = True
    """z_what depends on the object's last appearance."""
    presence: bool = True
    """An object that was there is expected to be there still."""

    def any(self) -> bool:
        return self.hidden or self.position or self.appearance or self.presence


@dataclass(frozen=True)
class ModelConfig:
    """Sizes, priors and switches of the model."""

    height: int = 50
    """Canvas height H, pixels."""
    width: int = 50
    """Canvas width W, pixels."""
    channels: int = 1
    """Colour channels C, 1 or 3."""
    slots: int = 4
    """Most objects alive at once in a clip, N."""
    first_steps: int = 3
    """Discovery steps in the first frame of a clip."""
    later_steps: int = 1
    """Discovery steps in every later frame."""
    glimpse: int = 16
    """Glimpse side G, cells."""
    z_what: int = 24
    """Size of the appearance latent."""
    hidden: int = 128
    """Size of the recurrent states."""
    features: int = 128
    """Size of a glimpse's encoding."""
    likelihood_std: float = 0.3
    """Standard deviation of p(x | z), pixels in [0, 1]."""
    position_std: float = 0.6
    """Prior standard deviation of a new object's centre, in half canvases."""
    size_mean: float = 11.0
    """Prior median of a new object's width and height, pixels."""
    size_std: float = 0.25
    """Prior standard deviation of log width and log height."""
    context: float = 30.0
    """Side of the window in which discovery looks for the object at its fixation, pixels."""
    search_margin: float = 5.0
    """What propagation sees around the predicted box at its fixation, pixels on each side."""
    retina: int = 2
    """Pixels per cell of the coarse image on which fixations are chosen."""
    max_size: float = 32.0
    """Largest object that the template of propagation can hold, pixels."""
    saliency_threshold: float = 0.08
    """Discovery does not start where the blurred residual stays below this."""
    stay_logit: float = 4.0
    """Prior log-odds that an object of the last frame is still there."""
    discovery: Literal["residual", "recurrent"] = "residual"
    """Where discovery looks: where the frame is least explained, or where a recurrent network says (the seed)."""
    temporal: TemporalConfig = field(default_factory=TemporalConfig)
    """The four temporal dependencies."""
