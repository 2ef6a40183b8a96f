"""Configuration: frozen dataclasses with one docstring per field, and named presets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sqair.render import Light


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
    patience: int = field(default=0, metadata={"later": True})
    """Candidates of a frame that refined inference may reject in a clip before it stops looking for others there."""
    crowding: float = field(default=0.0, metadata={"later": True})
    """Prices that refined inference asks more for a new object if all of it lies on others; for a part, that share."""
    objects: Literal["light", "opaque", "layered"] = field(default="light", metadata={"later": True})
    """What objects do to what is behind them: brighten it, as white digits do; or cover it with colours of their own,
    lighter or darker; layered, one covers another as well."""
    parts: bool = field(default=False, metadata={"later": True})
    """Whether the tracker takes what of footage was never seen apart from another object for a part of it (parts.py),
    and makes two objects of one that explains two things (split.py): weights of other footage find pieces of what is
    larger than they know, and heaps of what is smaller; others find what was seen in training."""
    glimpse: int = 16
    """Glimpse side G, cells."""
    glimpse_net: Literal["mlp", "conv"] = field(default="mlp", metadata={"later": True})
    """What encodes and draws glimpses: perceptrons, or convolutions (convolutions.py), as SQAIR's paper tries both."""
    z_what: int = 24
    """Size of the appearance latent."""
    hidden: int = 128
    """Size of the recurrent states."""
    features: int = 128
    """Size of a glimpse's encoding."""
    likelihood_std: float = 0.3
    """Standard deviation of p(x | z), pixels in [0, 1]."""
    ink_std: float = field(default=0.0, metadata={"later": True})
    """What ink adds to that, as a share of how much a pixel differs from its background: errors of what is drawn grow
    with it."""
    stretch: float = field(default=1.0, metadata={"later": True})
    """By how much differences from what is behind things are larger as the model sees them (stretch.py); ``ink_std``
    and ``likelihood_std`` are of what it sees."""
    position_std: float = 0.6
    """Prior standard deviation of a new object's centre, in half canvases."""
    size_mean: float = 11.0
    """Prior median of a new object's width and height, pixels."""
    aspect: float = field(default=1.0, metadata={"later": True})
    """Prior median of a new object's height over its width; ``size_mean`` is the median of the side of the square of
    the same area."""
    size_std: float = 0.25
    """Prior standard deviation of log width and log height."""
    context: float = 30.0
    """Side of the window in which discovery looks for the object at its fixation, pixels."""
    displacement: Literal["density", "prices"] = field(default="density", metadata={"later": True})
    """What it costs to find an object elsewhere than where it was expected: the log density of its prior, for what may
    turn or jump; or prices of an object for the square of a deviation, for what looks alike and goes on as it went."""
    growth: float = field(default=0.0, metadata={"later": True})
    """Most by which the log of an object's sides may exceed that of the longer of those it has had of late, or those
    of a typical object; 0 for any. Of two that meet one would rather grow over the other than leave it to be seen."""
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
    returns: bool = field(default=True, metadata={"later": True})
    """Whether objects that leave the canvas may come back; otherwise the tracker forgets them, and who comes is new."""
    discovery: Literal["residual", "recurrent"] = "residual"
    """Where discovery looks: where the frame is least explained, or where a recurrent network says (the seed)."""
    discovery_feedback: bool = False
    """The recurrent network sees the latents that it led to, as in AIR; otherwise the frame alone, as in the seed."""
    background: Literal["none", "plain", "smooth", "upconv", "still"] = field(default="none", metadata={"later": True})
    """What lies behind the objects: nothing; one colour; values on a coarse grid with straight lines between them; the
    same with detail that an up-convolution draws; or an image of the scene, the same but for slow change."""
    background_change: float = field(default=0.05, metadata={"later": True})
    """Share of the way that the image of a scene moves to what a frame shows of it, where no object is."""
    background_margin: float = field(default=0.0, metadata={"later": True})
    """How far from objects, in sides of a typical one, it stays as it is all the same."""
    background_cells: int = field(default=2, metadata={"later": True})
    """Values of that grid on each axis: so few that no object covers half of a cell, or else it is taken for a part of
    the background."""
    fit: bool = field(default=False, metadata={"later": True})
    """Frames of any size are scaled to the canvas, and boxes are in their pixels; otherwise other sizes are refused."""
    temporal: TemporalConfig = field(default_factory=TemporalConfig)
    """The four temporal dependencies."""

    @property
    def render(self) -> Light:
        """How objects become a picture."""
        from sqair.render import RENDERERS

        return RENDERERS[self.objects]

    @property
    def drawn(self) -> int:
        """Channels P that the decoder draws of an object."""
        return self.render.channels(self.channels)[0]

    @property
    def painted(self) -> int:
        """Channels of the paint of objects."""
        return self.render.painted(self.channels)

    @property
    def sight(self) -> int:
        """Channels S that inference sees of a frame."""
        return self.render.channels(self.channels)[1]

    @property
    def covered(self) -> int:
        """Channels E of what is explained so far."""
        return self.render.channels(self.channels)[2]

    @property
    def window(self) -> float:
        """Side of the part of the canvas in which an object is drawn, read and weighed, pixels (windows.py)."""
        return max(1.25 * self.max_size, self.context)


@dataclass(frozen=True)
class Stage:
    """A part of the curriculum: clips of one length."""

    length: int
    """Frames T of each clip."""
    steps: int
    """Optimisation steps."""
    clips: int
    """Clips B per step."""


@dataclass(frozen=True)
class TrainConfig:
    """The schedule, the optimiser and the estimator."""

    seed: int = 0
    """Seed of the weights, the data order and all samples: the same seed repeats a run exactly on one machine."""
    stages: tuple[Stage, ...] = (Stage(1, 1300, 64), Stage(3, 150, 106), Stage(5, 150, 64), Stage(10, 150, 32))
    """The curriculum; it starts with static AIR on single frames."""
    learning_rate: float = 3e-3
    """Adam's learning rate at the start; it decays as (1 - progress)^1.5."""
    final_rate: float = 0.02
    """Share of the learning rates that is left at the end."""
    muon_rate: float = field(default=0.02, metadata={"later": True})
    """Muon's learning rate at the start, for the matrices of the networks (muon.py), which decays likewise; 0 leaves
    them to Adam."""
    snug: float = field(default=200.0, metadata={"later": True})
    """How hard boxes of z_where are pulled to the ink of objects (snug.py), nats for the square of a pixel."""
    clip_norm: float = 500.0
    """Gradients of a larger norm (of the loss in nats per frame) are scaled down to it."""
    estimator: str = "closed_form"
    """How gradients get through z_pres: a name of docs/estimators.md, such as closed_form, nvil or vimco."""
    particles: int = 1
    """Particles K per clip; vimco needs at least 2."""
    discovery_dropout: float = 0.5
    """Share of later frames in which nothing is discovered, so that propagation learns to carry the objects."""
    jitter: float = 0.15
    """Noise on z_where of some carried objects, in its units, so that propagation learns to pull drifted boxes back."""
    object_nats: float | None = None
    """How much log-likelihood there is to gain from a typical object, nats; by default it is measured on the first
    clips (salience.object_nats)."""
    price: tuple[float, float] = (0.25, 0.1)
    """Price of an object in the count prior at the start and at the end, as shares of what a typical object of
    this data is worth: the geometric prior's success probability is exp(-price)."""
    price_steps: int = 1400
    """Steps over which the price goes from the first to the second."""
    tracking_price: float = 0.06
    """Price with which the trained model is left, in the same shares. A price as low as this in training splits
    objects for good; afterwards it only finds the faint ones."""
    bold_steps: int = 300
    """Steps over which first discoveries are accepted regardless of q(z_pres), with a share that falls from 1 to 0."""
    bold_all: bool = False
    """Whether that goes for all discoveries of a frame: the recurrent search has to be shown that there are more."""
    exploration: float = 0.0
    """Of the discoveries that touch no other object, where more is missing than one costs, the share that is accepted
    regardless; it falls to 0 over all steps."""
    crowd_dropout: float = 0.0
    """Of the discoveries that touch another object, the share that is rejected regardless while the price falls, so
    that parts of one do not become two."""
