"""Who decides what is there: the modes of the posteriors, what training imposes, refinement against the frame."""

from sqair.config import ModelConfig
from sqair.errors import UserError
from sqair.inference.amortised import Inference
from sqair.inference.forced import Explored, Sampled
from sqair.inference.refined import Refined
from sqair.roster import EXACT, Exact

__all__ = ["Explored", "Inference", "Refined", "Sampled", "check_count", "tracking"]


def tracking(refine: bool, memory: int, count: int = 0, roster: Exact = EXACT) -> Inference:
    """How a tracker chooses latents: refined presence with a memory, or the amortised posteriors alone.

    ``count`` is the number of individuals, if that is known: then the list of objects is exact. Otherwise ``roster``
    says who is on it.
    """
    roster = EXACT if count else roster
    return Refined(memory=memory, count=count, roster=roster) if refine else Inference(roster=roster)


def check_count(count: int, refine: bool, memory: int, config: ModelConfig) -> None:
    """Raises UserError unless so many individuals can be followed; 0 says that their number is not known."""
    if count < 0:
        raise UserError(f"count is {count}: it must be 0 or more")
    if count and not (refine and memory):
        raise UserError(f"count is {count}: it needs refine, and a memory of at least 1")
    if count > config.slots:
        raise UserError(
            f"count is {count}, and the model has room for {config.slots}: train one with --model.slots {count}"
        )
