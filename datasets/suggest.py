"""From what a survey saw to a model and its schedule, and both in words for people.

Every number here was chosen on clips that no table of the documentation scores; each has its reason beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from sqair.config import ModelConfig, Stage, TrainConfig
from sqair.datasets.seen import SHORTEST, Survey

OBJECT = 15.0
"""Side of a typical object on the canvas, pixels: about what a glimpse has cells, so that none of it is lost."""
LARGEST = 240
"""Longest side of the canvas, pixels: what a step costs grows with it, and what is seen beyond it hardly does."""
UNTRAINED = 320
"""The same where nothing is trained."""
FEWEST = 12.0
"""Least side of a typical object of a set on the canvas, about: its frames are scaled by one over a whole number, so
that pixels are means of whole ones, and nothing is lost between them."""
SMALLEST = 48
"""Shortest side of the canvas, pixels, where frames are no smaller: windows have room."""
STD, CONTRAST = 0.3, 0.8
"""Standard deviation of the likelihood for things of that contrast, those of moving MNIST, and in that ratio for
others: errors are told from things at the same signal to noise."""
QUIET, DIMMEST = 2.0, 0.02
"""Least standard deviation, in those of the noise and of 1: noise is no evidence."""
FAINTER, MOST_STRETCHED = 0.24, 4.0
"""Contrast up to which things are shown to weights of other footage as if they had it, by so much at most: they know
little of less."""
FAINT = 0.06
"""Least standard deviation in sets of things of any colours, which differ from what is behind by little or much: it is
STD of that difference."""
CROWD = 1.5
"""Slots for a thing that is seen: a blob may be a group."""
SLOTS, MANY = (3, 16), (12, 100)
"""Fewest and most, of a model that is trained on the footage, and of one that is not."""
SPREAD = (0.2, 0.5)
"""Standard deviation of log sizes: blobs vary by more than things do, which touch and hide."""
CONTEXT = 2.7
"""Side of what discovery sees, in typical sides: the thing, wherever in it the fixation is, and what it stands before.
It is that of moving MNIST."""
MARGIN = 0.45
"""What propagation sees around an object, in typical sides; likewise."""
ROOM = (1.3, 2.0)
"""Largest object there is room for: so much of the largest blobs' sides, or of typical sides."""
SALIENCE = 0.27
"""What is salient, in standard deviations: the blur of noise alone stays below it."""
LOAD = 40
"""Objects in a frame of a batch of clips, about: their gradients have as little noise on any footage."""
CLIPS, SET_CLIPS = (4, 32), (16, 32)
"""Fewest and most clips in such a batch, of footage and of a set: clips of a set have less in common."""
ADAPTED_CLIPS = (4, 16)
"""The same where training starts from weights of other footage, which need less."""
CHANGE = 0.01
"""Share by which the scene follows what is seen of it in a frame: a minute's light, not a thing that pauses."""
BESIDE = 0.3
"""How far from things it does not follow, in typical sides: wings and legs are of things that rest, too."""
PRICE, TRACKING = (0.25, 0.06), 0.1
"""Prices at the start and the end of training, and for tracking, as shares of what a thing is worth. Training ends
lower than on moving MNIST, since things are worth from a third to thrice the typical; tracking is dearer, as there is
more in a film that is no thing."""
BEHIND = {"black": "plain", "plain": "plain", "gradual": "smooth"}
"""What lies behind things in sets of clips; grey things on black are taken for light."""
SET_PRICE = (0.25, 0.03)
"""The same for sets, which Muon trains: what it draws is soon so sharp that little is left to be taken for a thing. In
tracking it stays as low."""
GENERAL, ADAPTED = 0.08, 0.06
"""Prices of tracking with weights of generated footage, and of training that starts from them, as such shares: things
that were never seen are drawn less well, and more is left of them to be taken for others."""
GROWTH = 0.26
"""A side longer by 30 %: things come nearer and turn, but more is two of them."""
CROWDING = 4.0
"""By so many prices: what is left of a thing that turns is worth more than a thing that is small or faint."""
PATIENCE = 3
"""Candidates of a frame of footage that may be rejected before the search ends: the most salient may be what no object
is, or a pile of them, while others lie in plain view."""
MUON = 0.02
"""Its learning rate."""
EASY, MOST_STEPS = (1.0, 2.5), (4.0, 2.5)
"""Things in a frame up to which a set takes the fewest steps; and, of crowds in proportion, so many times as many: of
light, of which a step is cheap, and of what covers."""
EXPLORATION, CROWD_DROPOUT = 0.2, 0.5
"""What is accepted that the decoder cannot draw yet, and rejected beside a thing that it is a part of."""


def suggest(seen: Survey) -> tuple[ModelConfig, TrainConfig]:
    """The model and the schedule for footage like this."""
    side = math.sqrt(seen.height * seen.width)
    behind = "none" if seen.is_light else BEHIND.get(seen.scenes, "still")
    scale = 1 / max(1, round(side / FEWEST)) if seen.is_set else min(1.0, OBJECT / side)
    scale = min(1.0, max(min(scale, LARGEST / max(seen.size)), SMALLEST / min(seen.size)))
    size = scale * side
    quiet = max(QUIET * seen.noise, DIMMEST)
    std, ink_std = _within(STD * seen.contrast / CONTRAST, (quiet, STD)), 0.0
    if behind in ("plain", "smooth"):
        std, ink_std = max(FAINT, quiet), STD
    slots = int(_within(wanted_slots(seen), SLOTS))
    model = ModelConfig(
        height=round(scale * seen.size[0]),
        width=round(scale * seen.size[1]),
        channels=3 if seen.colour else 1,
        fit=True,
        objects="light" if seen.is_light else "layered" if seen.is_set else "opaque",
        background=behind,
        background_change=CHANGE,
        background_margin=0.0 if seen.is_set else BESIDE,
        slots=slots,
        first_steps=slots,
        returns=not seen.is_set,
        crowding=CROWDING if seen.is_set and not seen.is_light else 0.0,
        patience=0 if seen.is_set else PATIENCE,
        growth=0.0 if seen.is_set else GROWTH,
        likelihood_std=round(std, 4),
        ink_std=ink_std,
        size_mean=round(size, 2),
        aspect=round(seen.height / seen.width, 3),
        size_std=round(_within(seen.spread, SPREAD), 3),
        context=round(CONTEXT * size, 1),
        search_margin=round(MARGIN * size, 1),
        max_size=round(scale * max(ROOM[0] * seen.large, ROOM[1] * side), 1),
        displacement="density" if seen.is_set else "prices",
        saliency_threshold=round(SALIENCE * std, 4),
    )
    worth = None if ink_std else round(seen.energy * scale**2 / (2 * std**2), 1)
    return model, _set_schedule(seen, worth) if seen.is_set else _schedule(seen, worth)


def untrained(seen: Survey, trained: ModelConfig) -> ModelConfig:
    """The model for footage like this of weights that were ``trained`` on other footage.

    Sizes and places are to a network in units of a typical object, so that its canvas may be any. Here it costs only
    what tracking costs, and may be larger.
    """
    model, _ = suggest(seen)
    scale = min(1.0, OBJECT / math.sqrt(seen.height * seen.width))
    scale = min(1.0, max(min(scale, UNTRAINED / max(seen.size)), SMALLEST / min(seen.size)))
    grown = scale * seen.size[0] / model.height
    stretch = round(_within(FAINTER / seen.contrast, (1.0, MOST_STRETCHED)), 2)
    quiet = max(QUIET * stretch * seen.noise, DIMMEST)
    std = round(_within(STD * stretch * seen.contrast, (quiet, trained.likelihood_std)), 4)
    slots = int(_within(wanted_slots(seen), MANY))
    return replace(
        trained,
        height=round(scale * seen.size[0]),
        width=round(scale * seen.size[1]),
        slots=slots,
        first_steps=slots,
        later_steps=slots,
        parts=True,
        growth=GROWTH,
        background_margin=BESIDE,
        likelihood_std=std,
        stretch=stretch,
        size_mean=round(grown * model.size_mean, 2),
        context=round(grown * model.context, 1),
        search_margin=round(grown * model.search_margin, 1),
        max_size=round(grown * model.max_size, 1),
        saliency_threshold=round(SALIENCE * std, 4),
    )


def _schedule(seen: Survey, worth: float | None) -> TrainConfig:
    """That of footage. ``worth`` is what a typical object is, nats; None has it measured on clips, by what is worth
    most in a frame."""
    clips = int(_within(round(LOAD / max(seen.mean, 0.5)), CLIPS))
    last = Stage(min(10, seen.length), 500, max(2, clips // 2))
    return TrainConfig(
        stages=(Stage(1, 1200, 2 * clips), Stage(3, 300, clips), Stage(5, 300, clips), last),
        muon_rate=0.0,
        snug=0.0,
        object_nats=worth,
        price=PRICE,
        price_steps=1200,
        tracking_price=TRACKING,
        exploration=EXPLORATION,
        crowd_dropout=CROWD_DROPOUT,
    )


def adapting(seen: Survey, worth: float) -> TrainConfig:
    """The schedule from weights that know footage in general to those of this. ``worth`` is what a typical object is
    to them, nats: prices stay as they are at the end of their training, and nothing has to be made bold."""
    clips = int(_within(round(LOAD / max(seen.mean, 0.5)), ADAPTED_CLIPS))
    last = Stage(min(10, seen.length), 25, max(2, clips // 2))
    return TrainConfig(
        stages=(Stage(1, 50, 2 * clips), Stage(3, 45, clips), Stage(5, 45, clips), last),
        learning_rate=1e-3,
        muon_rate=MUON / 2,
        snug=0.0,
        object_nats=round(worth, 1),
        price=(ADAPTED, ADAPTED),
        tracking_price=GENERAL,
        bold_steps=1,
        exploration=EXPLORATION,
        crowd_dropout=CROWD_DROPOUT,
    )


def _set_schedule(seen: Survey, worth: float | None) -> TrainConfig:
    """That of a set, likewise."""
    clips = int(_within(round(LOAD / max(seen.mean, 0.5)), SET_CLIPS))
    covers = not seen.is_light
    more = _within(seen.mean / EASY[covers], (1, MOST_STEPS[covers]))
    parts = ((1, 700, 2 * clips), (3, 400, clips), (5, 250, clips), (min(10, seen.length), 150, clips // 2))
    return TrainConfig(
        stages=tuple(Stage(length, round(more * steps), count) for length, steps, count in parts),
        muon_rate=MUON,
        snug=0.0,
        object_nats=worth,
        price=SET_PRICE,
        price_steps=200,
        tracking_price=SET_PRICE[1],
        exploration=EXPLORATION,
        crowd_dropout=CROWD_DROPOUT,
    )


def wanted_slots(seen: Survey) -> float:
    """How many objects a model should be able to follow at a time."""
    return math.ceil(CROWD * seen.most) + 1


def _within(value: float, bounds: tuple[float, float]) -> float:
    return min(max(value, bounds[0]), bounds[1])


def describe(seen: Survey, model: ModelConfig) -> str:
    """What a survey saw, and the ``model`` that was chosen, the one suggested or another, for people."""
    kind = "colour" if seen.colour else "grey"
    lines = [
        f"footage: {seen.size[1]}x{seen.size[0]} pixels, {kind}, {seen.length} frames or more a clip; "
        f"{seen.mean:.1f} things move at a time, of about {seen.width:.0f}x{seen.height:.0f} pixels",
        *_remarks(seen, model.slots),
        f"chosen: canvas {model.width}x{model.height}, at most {model.slots} objects, standard deviation of pixels "
        f"{model.likelihood_std}, size {model.size_mean} (canvas pixels), aspect {model.aspect}, background "
        f"{model.background}",
    ]
    return "\n".join(lines)


def _remarks(seen: Survey, slots: int) -> Iterator[str]:
    """What is unusual about footage, for a model of so many ``slots``."""
    if seen.left_out:
        yield f"left out: {seen.left_out} of {seen.clips} clips, which have fewer than {SHORTEST} frames"

    def where(clips: int) -> str:
        return "" if seen.clips == 1 else f"in {clips} of {seen.clips} clips "

    if seen.trembling:
        done = "it is put right in every frame" if seen.steadied else "left as it is, by --stabilise off"
        yield f"{where(seen.trembling)}the camera trembles by {seen.tremble:.2g} pixels (standard deviation): {done}"
    if seen.turning:
        yield (
            f"warning: {where(seen.turning)}the camera turns or zooms, by about {seen.turn:.2g} pixels at the corners: "
            "that cannot be put right"
        )
    if seen.panning:
        yield f"warning: {where(seen.panning)}the camera pans: it must stand still; leave these out"
    many = f"{seen.clips} clips of about {seen.length} frames"
    if seen.scenes == "black":
        what = "things" if seen.colour else "light things"
        yield f"{many} of {what} on black, not footage of a scene"
    elif seen.scenes in ("plain", "gradual"):
        yield f"{many} of things on {seen.scenes} colours, not footage of a scene"
    elif seen.is_set:
        yield (
            f"warning: {many} that have no scene in common: these are not clips of one camera; what stays still in a "
            "clip is taken for its scene, and what hardly moves in it is lost"
        )
    if wanted_slots(seen) > slots:
        yield (
            f"warning: {seen.most:.0f} things at a time are many for a model of at most {slots} objects: "
            "raise --model.slots (training takes longer)"
        )
