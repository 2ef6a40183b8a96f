"""Who decides what is there: the modes of the posteriors, what training imposes, refinement against the frame."""

from sqair.inference.amortised import Inference
from sqair.inference.forced import Explored, Sampled
from sqair.inference.refined import Refined

__all__ = ["Explored", "Inference", "Refined", "Sampled", "tracking"]


def tracking(refine: bool, memory: int) -> Inference:
    """How a tracker chooses latents: refined presence with a memory, or the amortised posteriors alone."""
    return Refined(memory=memory) if refine else Inference()
