"""SQAIR: for every frame, propagate the objects that are there, discover what they leave unexplained, render, score.

Notation, with the equations of the seed (Kosiorek's notes on AIR) and of docs/model.md:

    x         frame                                 n        number of objects, prior (2)
    z_what    appearance, z_where  box, z_pres  there or not; priors (3), posteriors (4) and (6)
    h         recurrent state, omega  parameters of the posteriors, (5)
    B clips, T frames, K particles, M objects of all clips in one list, N most objects of a clip, D size of z_what
    C colour channels, H x W pixels, h x w cells of the retina or pixels of a window, G x G cells of a glimpse
    P channels of what is drawn of an object, S of what is seen of a frame, E of what is explained of it (render.py)

Discovery and propagation propose objects, one function weighs what the frame says of a proposal, and whoever decides
(inference/) settles who is there.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from sqair.background import Background, Behind, Smooth, Still, UpConvolved
from sqair.config import ModelConfig
from sqair.discover import Discovery, Hunt, New
from sqair.distributions import Gaussian
from sqair.encoder import Appearance, Presence
from sqair.files.pretrained import Pretrained
from sqair.geometry import constant, where_unit, write
from sqair.inference import Inference
from sqair.inference.identity import Absent, has_left, seated
from sqair.layers import layered
from sqair.life import born, missed, moved
from sqair.networks import Decoder
from sqair.objects import Objects, Posterior
from sqair.plain import Plain
from sqair.propagate import Propagation
from sqair.render import Layered, log_likelihood
from sqair.roster import EXACT, Exact
from sqair.salience import to_retina
from sqair.scene import Evidence, Proposal, Rows, Scene
from sqair.scenery import still_image
from sqair.state import State, Step
from sqair.stretch import relaxed, stretched
from sqair.windows import Patches, Windows

BACKGROUNDS: dict[str, type[Background]] = {"plain": Plain, "smooth": Smooth, "upconv": UpConvolved, "still": Still}


class SQAIR(Pretrained):
    """The model; ``forward`` explains clips, ``step`` one frame."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config, self.render = config, config.render
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
        sizes = (config.z_what, config.hidden, config.drawn, config.glimpse)
        still = still if isinstance(self.background, Still) else None
        next_id = torch.zeros(clips, dtype=torch.int64, device=like.device)
        return State(Objects.none(like, *sizes), next_id, background=still)

    def step(self, frame: Tensor, state: State, inference: Inference) -> tuple[Step, State]:
        """Propagate, discover, render, score one ``frame [B, C, H, W]``."""
        behind: Behind | None = None
        if self.background is not None:
            retina = to_retina(frame, self.config)
            behind = self.background(retina, frame, state.background, inference.generator)
        scene = self.scene(frame, behind, inference.roster)
        absent = self._propagate(scene, state.objects, inference)
        next_id = self._discover(scene, state, absent, inference)
        step = self._render(scene, behind)
        carried = step.objects if absent is None else Objects.concat([step.objects, absent.objects])
        carried = inference.roster.seats(carried, len(frame), inference.seats(self.config))
        carried = inference.carry(carried, where_unit(self.config, frame))
        last = None
        if self.background is not None and behind is not None:
            with torch.no_grad():
                last = self.background.carry(behind, frame, 1 - scene.explained())
        return step, State(carried, next_id, begun=True, background=last)

    def scene(self, frame: Tensor, behind: Behind | None, roster: Exact = EXACT) -> Scene:
        """A frame ``[B, C, H, W]`` before what is ``behind``, of as much contrast as the model sees."""
        if behind is not None:
            frame, image = stretched(frame, behind.image, self.config)
            behind = replace(behind, image=image)
        return Scene(frame, behind, self.price, self.config, roster)

    def _propagate(self, scene: Scene, objects: Objects, inference: Inference) -> Absent | None:
        """Finds the objects of the last frame again; returns those that are not seen, if they are remembered."""
        if not (len(objects) and self.config.temporal.any()):
            return None
        posterior = self.propagation(scene, objects, inference.generator)
        now, paint = self.moved(objects, posterior)
        p_logit = self.stay_logit(scene.price[objects.clip]).to(objects.weight).expand_as(objects.weight)
        on = (objects.unseen == 0) * objects.weight.detach()
        proposal = Proposal(now, posterior, paint, p_logit, None, on, objects.weight, round=0)
        scene.show(proposal)
        proposal = layered(scene, proposal)
        rows = self._weigh(scene, proposal, inference)
        if not inference.memory:
            scene.add(rows)
            return None
        rows = seated(rows, inference.room(self.config))
        scene.add(rows)
        absent = Absent(self.recur(missed(objects, posterior), objects.hidden), posterior.p_what, scene.roster)
        if inference.count:
            return absent.keep(~rows.there)
        hidden = ~rows.there & (objects.unseen < inference.memory)
        return absent.keep(hidden if self.config.returns else hidden & ~has_left(absent.objects, self.config))

    def _discover(self, scene: Scene, state: State, absent: Absent | None, inference: Inference) -> Tensor:
        """Looks for new objects, and for who they are; returns the next free id of each clip ``[B]``."""
        config, next_id = self.config, state.next_id
        later = state.begun and config.temporal.any()
        skipped = later and inference.skips_discovery()
        if skipped is True:
            return next_id
        limit = config.later_steps if later else config.first_steps
        hunt, before = Hunt(self.discovery, scene, limit, inference, skipped), scene.mark()
        while (new := hunt.next()) is not None:
            rows = self._weigh(scene, layered(scene, self._proposal(new, next_id)), inference)
            rows = hunt.learn(rows)
            scene.add(rows)
            next_id = next_id.index_add(0, rows.clip, rows.there.long())
        if inference.count:
            scene.reduce(before, inference.room(config))
            nobody = self.initial_state(0, scene.frame).objects
            absent = absent or Absent(nobody, Gaussian.standard(nobody.what), scene.roster)
        found = scene.alive[before[-1] :]
        if absent is not None and found:
            named = absent.recognise(Objects.concat(found), state.next_id, inference.count, self.price, config)
            scene.alive[before[-1] :] = [named]
            last = scene.roster.only(named.there, named.id, -1)
            next_id = state.next_id.clone().scatter_reduce_(0, named.clip, last + 1, "amax")
        return next_id

    def _proposal(self, new: New, next_id: Tensor) -> Proposal:
        """What discovery proposes, under the next free id of each clip, ``next_id [B]``."""
        objects, paint = self.born(new.posterior, new.clip, next_id)
        nobody = torch.zeros_like(objects.age)
        return Proposal(objects, new.posterior, paint, new.p_logit, new.q_logit, nobody, new.weight, new.round)

    def _weigh(self, scene: Scene, proposal: Proposal, inference: Inference) -> Rows:
        """q(z_pres) of what is proposed, from what the frame says of it; whoever decides settles it."""
        evidence = Evidence(scene, proposal)
        q_logit, head = proposal.q_logit, self.new_presence if proposal.round else self.old_presence
        if q_logit is None and head is not None:
            odds = (evidence.gain - evidence.kl + proposal.p_logit).detach()
            q_logit = head(proposal.posterior.encoding, odds)
        assert q_logit is not None
        return inference.settle(proposal, evidence, q_logit)

    def _render(self, scene: Scene, behind: Behind | None) -> Step:
        """The frame as it is explained, and how likely that makes it, (1)."""
        config, frame = self.config, scene.frame
        none = self.initial_state(0, frame).objects
        objects = Objects.concat([none, *scene.alive])
        window = Windows.around(frame.new_zeros(0, 2), none.clip, config.window, (config.height, config.width))
        nothing = Patches(frame.new_zeros(0, frame.shape[1], *window.size), window)
        flat = self.render.depth(frame.new_zeros(0, config.painted, *window.size))
        canvas = scene.canvas()
        return Step(
            canvas=canvas if behind is None else relaxed(canvas, behind.image, config),
            log_likelihood=log_likelihood(frame, canvas, scene.std),
            log_p_nothing=scene.log_p_nothing,
            rows=scene.rows,
            objects=objects,
            patches=Patches.concat([nothing, *scene.patches]),
            confidence=torch.cat([frame.new_zeros(0), *scene.confidence]),
            behind=behind,
            depth=None if flat is None else Patches.concat([Patches(flat, window), *scene.depths]),
            roster=scene.roster,
        )

    def draw(self, posterior: Posterior, clip: Tensor) -> tuple[Tensor, Patches]:
        """Glimpses ``[M, P, G, G]`` of objects in the clips ``clip [M]``, and their paint in place ``[M, P, h, w]``."""
        glimpse = self.decoder(posterior.what)
        return glimpse, self.painted(glimpse, posterior.box, clip)

    def painted(self, glimpse: Tensor, box: Tensor, clip: Tensor) -> Patches:
        """The paint ``[M, P, h, w]`` of what is drawn as ``glimpse [M, P, G, G]``, in its ``box [M, 4]``."""
        config = self.config
        windows = Windows.around(box[:, :2], clip, config.window, (config.height, config.width))
        return Patches(self.render.paint(write(glimpse, windows.local(box), *windows.size)), windows)

    def moved(self, old: Objects, posterior: Posterior) -> tuple[Objects, Patches]:
        """Objects of the last frame with new latents, and their paint ``[M, P, h, w]``."""
        glimpse, paint = self.draw(posterior, old.clip)
        if isinstance(self.render, Layered):
            paint = Patches(self.render.placed(paint.image, old.layer), paint.windows)
        return self.recur(moved(old, posterior, glimpse), old.hidden), paint

    def born(self, posterior: Posterior, clip: Tensor, next_id: Tensor) -> tuple[Objects, Patches]:
        """New objects in the clips ``clip [M]``, and their paint ``[M, P, h, w]``."""
        glimpse, paint = self.draw(posterior, clip)
        hidden = self.first_hidden.expand(len(clip), -1)
        return self.recur(born(posterior, clip, next_id[clip], glimpse, hidden), hidden), paint

    def recur(self, objects: Objects, hidden: Tensor) -> Objects:
        """The objects with their recurrent state after this frame, of that before it, ``hidden [M, hidden]``: (5)."""
        if not self.config.temporal.hidden:
            return replace(objects, hidden=self.first_hidden.expand(len(objects), -1))
        speed = objects.velocity / where_unit(self.config, objects.velocity)[:2]
        return replace(objects, hidden=self.recurrent(torch.cat([objects.what, objects.where, speed], -1), hidden))

    def stay_logit(self, price: Tensor) -> Tensor:
        """Prior log-odds ``[M]`` or ``[]`` that objects of the last frame are there still.

        Without the temporal dependency of presence they are as likely as new ones of that ``price [M]``, nats.
        """
        if self.config.temporal.presence:
            return constant((self.config.stay_logit,), price.dtype, price.device)[0]
        return -price
