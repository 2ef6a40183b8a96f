"""SQAIR: for every frame, propagate the objects that are there, discover what they leave unexplained, render, score.

Notation, with the equations of the seed (Kosiorek's notes on AIR) and of docs/model.md:

    x         frame                                 n        number of objects, prior (2)
    z_what    appearance, z_where  box, z_pres  there or not; priors (3), posteriors (4) and (6)
    h         recurrent state, omega  parameters of the posteriors, (5)
    B clips, T frames, M objects of all clips in one list, C channels, H x W pixels, D size of z_what
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sqair.background import BACKGROUNDS, Behind, Still, still_image
from sqair.config import ModelConfig
from sqair.discover import Discovery
from sqair.distributions import geometric_logits
from sqair.encoder import Appearance, Presence
from sqair.fixate import rank_in_clip, to_retina
from sqair.geometry import where_to_box, where_unit, write
from sqair.networks import Decoder
from sqair.objects import Objects, Posterior, Rows
from sqair.presence import Inference
from sqair.propagate import Propagation
from sqair.recognise import Memory
from sqair.render import RENDERERS, log_likelihood
from sqair.scene import Gains, Prospect, Scene
from sqair.windows import Patches, Windows


@dataclass
class State:
    """What is carried from frame to frame: the objects, and the next free id of each clip ``[B]``."""

    objects: Objects
    next_id: Tensor
    first: bool = True
    background: Tensor | None = None
    """What the background carries ``[B, ...]``, of a model that has one."""


@dataclass
class Step:
    """One frame explained: the canvas ``[B, C, H, W]``, its log-likelihood ``[B]``, and the terms of the bound."""

    canvas: Tensor
    log_likelihood: Tensor
    log_p_nothing: Tensor
    """``[B]``, log prior of finding nothing more where the search saw nothing, so that q(z_pres = 0) is 1."""
    rows: list[Rows]
    objects: Objects
    patches: Patches
    """``[M, C, h, w]``, what each object of ``objects`` does to an otherwise empty canvas; no gradient."""
    confidence: Tensor
    """``[M]``, q(z_pres = 1) of each object of ``objects``; no gradient."""
    behind: Behind | None = None
    """The background, of a model that has one."""

    @property
    def images(self) -> Tensor:
        """``patches`` on canvases of their own, ``[M, C, H, W]``."""
        return self.patches.whole()


class SQAIR(nn.Module):
    """The model; ``forward`` explains clips, ``step`` one frame."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.render = RENDERERS[config.objects]
        appearance = Appearance(config)
        self.discovery = Discovery(config, appearance)
        self.propagation = Propagation(config, appearance)
        self.background = BACKGROUNDS[config.background](config) if config.background != "none" else None
        self.decoder = Decoder(config)
        self.new_presence = Presence(config, bias=1.0) if config.discovery == "residual" else None
        self.old_presence = Presence(config, bias=3.0)
        self.recurrent = nn.GRUCell(config.z_what + 6, config.hidden)
        self.first_hidden = nn.Parameter(torch.zeros(config.hidden))
        self.price = 20.0
        """Price of an object over black, nats; over a background it is as much less as objects are worth less."""
        self.trained: tuple[int, int] | None = None
        """Steps of training behind it and steps that there were to be, where it was loaded and they are known."""
        self.shown: tuple[float, float] | None = None
        """Values that were black and white in the footage that it was trained on, where they are known."""

    @staticmethod
    def from_pretrained(folder: str | Path, device: str | torch.device = "cpu") -> SQAIR:
        """The model in a run's folder or a folder of weights, or one that ships with the package, by its name.

        A run may be stopped or in progress: ``trained`` says how far it has got.

        Raises UserError as ``sqair.pretrained.load_weights`` does.
        """
        from sqair.pretrained import load_weights

        return load_weights(folder, device)

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes ``config.json`` and ``model.safetensors``, from which ``from_pretrained`` makes the same model."""
        from sqair.pretrained import save_weights

        steps = dict(zip(("steps", "total_steps"), self.trained or (), strict=False))
        settings = {} if self.shown is None else {"settings": {"range": list(self.shown)}}
        save_weights(folder, self, {**steps, **settings})

    def forward(self, frames: Tensor, inference: Inference, still: Tensor | None = None) -> list[Step]:
        """Explains clips ``[T, B, C, H, W]``, frame by frame; ``still [B, C, H, W]`` is the image of their scenes."""
        state = self.initial_state(frames.shape[1], frames, still)
        steps = []
        for frame in frames:
            step, state = self.step(frame, state, inference)
            steps.append(step)
        return steps

    def still(self, clips: Tensor) -> Tensor | None:
        """The image of the scene of whole ``clips [T, B, C, H, W]``, ``[B, C, H, W]``, of a model that wants one."""
        return still_image(clips, self.config) if isinstance(self.background, Still) else None

    def initial_state(self, clips: int, like: Tensor, still: Tensor | None = None) -> State:
        """No objects in any of ``clips`` clips, whose scenes look like ``still [B, C, H, W]`` if that is known.

        Models without a still background have no use for what scenes look like.
        """
        config = self.config
        still = still if isinstance(self.background, Still) else None
        none = like.new_zeros
        row = torch.zeros(0, dtype=torch.int64, device=like.device)
        objects = Objects(
            row, row, none(0), none(0, config.z_what), none(0, 4), none(0, 2), none(0, 2),
            none(0, config.hidden), none(0, config.drawn, config.glimpse, config.glimpse), row, none(0),
        )  # fmt: skip
        return State(objects, torch.zeros(clips, dtype=torch.int64, device=like.device), background=still)

    def step(self, frame: Tensor, state: State, inference: Inference) -> tuple[Step, State]:
        """Propagate, discover, render, score one ``frame [B, C, H, W]``."""
        config = self.config
        behind: Behind | None = None
        if self.background is not None:
            behind = self.background(to_retina(frame, config), frame, state.background, inference.generator)
        scene = Scene(frame, behind, config)
        next_id = state.next_id
        carries = config.temporal.any()
        if carries and len(state.objects):
            self._propagate(scene, state.objects, inference)
        if state.first or not carries:
            next_id = self._discover(scene, next_id, config.first_steps, inference)
        elif not inference.skips_discovery():
            next_id = self._discover(scene, next_id, config.later_steps, inference)
        canvas = scene.canvas()
        objects = Objects.concat([state.objects.rows(state.objects.clip[:0]), *scene.alive])
        none = Windows.around(frame.new_zeros(0, 2), objects.clip[:0], config.window, (config.height, config.width))
        patches = Patches.concat([Patches(frame.new_zeros(0, frame.shape[1], *none.size), none), *scene.patches])
        confidence = torch.cat([frame.new_zeros(0), *scene.confidence])
        likelihood = log_likelihood(frame, canvas, config.likelihood_std)
        carried = objects if scene.memory is None else Objects.concat([objects, scene.memory.objects])
        step = Step(canvas, likelihood, scene.log_p_nothing, scene.rows, objects, patches, confidence, behind)
        last = None
        if self.background is not None and behind is not None:
            with torch.no_grad():
                last = self.background.carry(behind, frame, 1 - scene.explained())
        return step, State(inference.carry(carried, where_unit(config, frame)), next_id, first=False, background=last)

    def _propagate(self, scene: Scene, objects: Objects, inference: Inference) -> None:
        """Infers the objects of the last frame in this one and adds those that are there to the scene."""
        posterior = self.propagation(scene.sight, scene.retina, objects, self.price, inference.generator)
        moved, paint = self.moved(objects, posterior)
        on = (objects.unseen == 0) * objects.weight.detach()
        scene.paint = paint.total(on, len(scene.frame))
        weight = objects.weight
        rows = self._infer_presence(scene, posterior, paint, on, weight, None, None, inference)
        if inference.memory:
            rows.pres = rows.pres * self._has_slot(rows)
        scene.paint = paint.total(rows.pres, len(scene.frame))
        kept = rows.pres.detach().bool()
        scene.add(rows, moved, paint)
        if inference.memory:
            forgotten = kept | (objects.unseen >= inference.memory)
            scene.memory = Memory(self._imagine(objects, posterior), posterior.p_what).rows(~forgotten)

    def _has_slot(self, rows: Rows) -> Tensor:
        """Whether each propagated object finds a slot ``[M]``: those that never hid come first, then by gain."""
        first = 2 * rows.pres + rows.reach
        order = rank_in_clip(rows.clip, first * 1e6 + rows.gain)
        return (order < self.config.slots).to(rows.pres)

    def _discover(self, scene: Scene, next_id: Tensor, limit: int, inference: Inference) -> Tensor:
        """Looks for new objects, at most ``limit`` in each clip, until a clip has none; returns the next free ids."""
        config, frame = self.config, scene.frame
        memory = self.discovery.search.begin(scene.retina, to_retina(scene.explained(), config))
        price = self.price * scene.contrast.double()
        more = geometric_logits(price, limit).to(frame).flip(-1)  # by how many could still come, less 1
        room = config.slots - scene.taken()
        searching = (room > 0).nonzero()[:, 0]
        weight = torch.ones_like(scene.log_p_nothing)
        for i in range(limit):
            p_logit = more.gather(1, room.clamp(1, limit - i)[:, None] - 1)[:, 0]
            missing = self.render.missing(frame, scene.canvas().detach())
            promising = inference.promising(missing, p_logit, config.likelihood_std)
            search, new = searching[promising[searching]], None
            if len(search):
                new = self.discovery(memory, scene.sight, scene.retina, scene.explained(), search, inference)
            idle = torch.zeros_like(promising).index_fill(0, searching, True)
            idle = idle if new is None else idle.index_fill(0, new.clip, False)
            scene.log_p_nothing = scene.log_p_nothing + idle * weight * F.logsigmoid(-p_logit)
            if new is None:
                break
            posterior, clip, q_logit = new
            born, paint = self.born(posterior, clip, next_id)
            nobody = torch.zeros_like(posterior.where[:, 0])
            odds = p_logit[clip]
            rows = self._infer_presence(scene, posterior, paint, nobody, weight[clip], odds, q_logit, inference, i == 0)
            weight = weight.index_copy(0, clip, rows.pres)
            self.discovery.search.sampled(memory, clip, posterior, rows.pres)
            scene.paint = scene.paint + paint.total(rows.pres, len(frame))
            found = rows.pres.detach().bool()
            if scene.memory is not None:
                born = scene.memory.recognise(born, found, self.price, inference.familiar * self.price, config)
            scene.add(rows, born, paint)
            next_id = next_id.index_add(0, clip, (found & (born.id == next_id[clip])).long())
            room = config.slots - scene.taken()
            searching = clip[found]
            searching = searching[room[searching] > 0]
        return next_id

    def draw(self, posterior: Posterior, clip: Tensor) -> tuple[Tensor, Patches]:
        """Glimpses ``[M, P, G, G]`` of objects in the clips ``clip [M]``, and their paint in place ``[M, P, h, w]``."""
        config = self.config
        glimpse = self.decoder(posterior.what)
        box = where_to_box(posterior.where, config)
        windows = Windows.around(box[:, :2], clip, config.window, (config.height, config.width))
        return glimpse, Patches(self.render.paint(write(glimpse, windows.local(box), *windows.size)), windows)

    def _infer_presence(
        self,
        scene: Scene,
        posterior: Posterior,
        paint: Patches,
        on: Tensor,
        weight: Tensor,
        p_logit: Tensor | None,
        q_logit: Tensor | None,
        inference: Inference,
        first: bool = False,
    ) -> Rows:
        """q(z_pres), from what each object gains given the scene; ``on [M]`` says who is part of ``scene.paint``.

        ``weight [M]`` is the presence of what z_pres depends on.
        """
        clip, new = paint.windows.clip, p_logit is not None
        gains = Gains(scene, paint, on, self.config.likelihood_std)
        gained = gains.at(torch.ones_like(on))

        kl = posterior.kl()
        if p_logit is None:
            p_logit = self.stay_logit(self.price, scene.contrast[clip])
        p_logit = p_logit.expand_as(gained)
        head = self.new_presence if new else self.old_presence
        if q_logit is None and head is not None:
            q_logit = head(posterior.encoding, (gained - kl + p_logit).detach())
        assert q_logit is not None
        prospect = Prospect(scene, posterior.where, paint.windows, self.config)
        rows = Rows(
            clip, on, weight, q_logit, p_logit, on, kl, posterior, gained, gains.at, gains.given, prospect, self.price,
            scene.contrast[clip], new, first,
        )  # fmt: skip
        rows.pres = weight * inference.decide(rows, len(scene.frame))
        return rows

    def stay_logit(self, price: float, contrast: Tensor) -> Tensor:
        """Prior log-odds ``[M]`` or ``[]`` that objects of the last frame are there still.

        Without the temporal dependency of presence they are as likely as at a ``price`` in nats of an object over
        black, of which their background leaves a share, ``contrast [M]``.
        """
        if self.config.temporal.presence:
            return contrast.new_tensor(self.config.stay_logit)
        return -price * contrast

    def moved(self, old: Objects, posterior: Posterior) -> tuple[Objects, Patches]:
        """Objects of the last frame with new latents, and their paint ``[M, P, h, w]``."""
        glimpse, paint = self.draw(posterior, old.clip)
        return self._update(old, posterior, glimpse), paint

    def born(self, posterior: Posterior, clip: Tensor, next_id: Tensor) -> tuple[Objects, Patches]:
        """New objects in the clips ``clip [M]``, and their paint ``[M, P, h, w]``."""
        glimpse, paint = self.draw(posterior, clip)
        return self._birth(posterior, glimpse, clip, next_id), paint

    def _update(self, old: Objects, posterior: Posterior, glimpse: Tensor) -> Objects:
        where, what = posterior.where.detach(), posterior.what.detach()
        velocity = (where - old.where)[:, :2]
        seen = (old.age > 0).to(where.dtype)[:, None]
        return replace(
            old,
            age=old.age + 1,
            what=what,
            where=where,
            velocity=velocity,
            acceleration=seen * (velocity - old.velocity),
            hidden=self._recur(what, where, velocity, old.hidden),
            glimpse=glimpse.detach(),
            unseen=torch.zeros_like(old.unseen),
        )

    def _imagine(self, old: Objects, posterior: Posterior) -> Objects:
        """The objects of the last frame after they were not seen in this one: moved on as their prior expects."""
        expected = replace(posterior, where=posterior.p_where.mean, what=old.what)
        return replace(self._update(old, expected, old.glimpse), unseen=old.unseen + 1)

    def _birth(self, posterior: Posterior, glimpse: Tensor, clip: Tensor, next_id: Tensor) -> Objects:
        """The objects of discovery."""
        where, what = posterior.where.detach(), posterior.what.detach()
        still = torch.zeros_like(where[:, :2])
        hidden = self.first_hidden.expand(len(clip), -1)
        hidden = self._recur(what, where, still, hidden)
        age = torch.zeros_like(where[:, 0])
        return Objects(
            clip, next_id[clip], age, what, where, still, still, hidden, glimpse.detach(),
            torch.zeros_like(clip), torch.ones_like(age),
        )  # fmt: skip

    def _recur(self, what: Tensor, where: Tensor, velocity: Tensor, hidden: Tensor) -> Tensor:
        if not self.config.temporal.hidden:
            return self.first_hidden.expand(len(what), -1)
        speed = velocity / where_unit(self.config, velocity)[:2]
        return self.recurrent(torch.cat([what, where, speed], -1), hidden)
