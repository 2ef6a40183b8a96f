"""Gradient estimators for the discrete latents: from a pass over clips to a loss.

A new one is a file here and a line in ``ESTIMATORS``; docs/estimators.md says what each promises.
"""

from __future__ import annotations

from sqair.config import ModelConfig
from sqair.errors import UserError
from sqair.estimators.base import Estimator
from sqair.estimators.closed_form import ClosedForm
from sqair.estimators.concrete import Concrete, ConcreteHard
from sqair.estimators.concrete_local import ConcreteLocal
from sqair.estimators.corrected import Corrected
from sqair.estimators.enumeration import Enumeration
from sqair.estimators.nvil import NVIL, NormalisedNVIL, PaperNVIL
from sqair.estimators.rebar import Rebar, Relax
from sqair.estimators.score_function import Constant, RunningMean, ScoreFunction
from sqair.estimators.vimco import Vimco, VimcoSqair
from sqair.estimators.wake_wake import WakeWake

ESTIMATORS: dict[str, type[Estimator]] = {
    "closed_form": ClosedForm,
    "closed_form_corrected": Corrected,
    "score_function": RunningMean,
    "score_function_constant": Constant,
    "score_function_plain": ScoreFunction,
    "nvil": NormalisedNVIL,
    "nvil_unscaled": NVIL,
    "nvil_paper": PaperNVIL,
    "vimco": Vimco,
    "vimco_sqair": VimcoSqair,
    "wake_wake": WakeWake,
    "concrete": Concrete,
    "concrete_hard": ConcreteHard,
    "concrete_local": ConcreteLocal,
    "rebar": Rebar,
    "relax": Relax,
    "enumeration": Enumeration,
}


def make_estimator(name: str, config: ModelConfig) -> Estimator:
    """The estimator of that name for models of ``config``. Raises UserError for an unknown name."""
    if name not in ESTIMATORS:
        raise UserError(f"unknown estimator '{name}'; there are {', '.join(ESTIMATORS)}")
    return ESTIMATORS[name](config)
