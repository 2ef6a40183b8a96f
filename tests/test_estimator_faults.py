"""The exactness checks find faults: each line of an estimator that matters is changed, and its check must fail.

The estimators themselves are mutated: their module is loaded again with a piece of its source replaced.
"""

import inspect
import sys
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import pytest
import torch
from torch import Tensor

import test_estimator_twins as twins
from conftest import STATIC, gradient, outcomes, spots, tiny_model
from estimating import (
    case,
    error,
    exact_elbo,
    exact_gradient,
    exact_iwae,
    expected_gradient,
    posterior_seeking,
    published,
    terms_of,
)
from sqair.bounds import Terms
from sqair.estimators import ESTIMATORS, Estimator
from sqair.inference import Sampled
from test_relaxations import concrete_error, concrete_hard_error, expected_slope, relaxations

pytestmark = pytest.mark.usefixtures("float64")

Check = Callable[[ModuleType, str], float]
"""From an estimator's module and name to how wrong its gradient is."""


def build(module: ModuleType, name: str, model: torch.nn.Module) -> Estimator:
    return getattr(module, ESTIMATORS[name].__name__)(model.config)


def against(bound: Callable[[Terms], Tensor], particles: int, std: float = STATIC.likelihood_std) -> Check:
    def check(module: ModuleType, name: str) -> float:
        model, frames = case("one frame")
        model.config = replace(model.config, likelihood_std=std)
        found = expected_gradient(model, frames, build(module, name, model), particles)
        return error(found, exact_gradient(model, frames, bound))

    return check


def against_elbo_of_one_object(module: ModuleType, name: str) -> float:
    config = replace(STATIC, first_steps=1)
    model, frames = tiny_model(config, price=0.8), spots(config, 1, 1)
    found = expected_gradient(model, frames, build(module, name, model), 2)
    return error(found, exact_gradient(model, frames, exact_elbo))


def against_enumeration(module: ModuleType, name: str) -> float:
    """Of a batch in which one frame is dark."""
    model, frames = case("one frame", "residual")
    both = torch.cat([frames, 0 * frames], 1)
    estimator = build(module, name, model)
    repeated = both.repeat(1, 3, 1, 1, 1)
    loss = estimator(Terms(model(repeated, estimator.inference(Sampled(None), 1))), repeated, 3)
    bounds = [exact_elbo(terms_of(model, clip, outcomes(model, clip))) for clip in (frames, 0 * frames)]
    bound = torch.stack(bounds).mean()
    return max(error(-gradient(model, loss), gradient(model, bound)), abs(float((loss + bound).detach())))


def against_quadrature(module: ModuleType, name: str) -> float:
    q = float(torch.sigmoid(torch.tensor(0.3)))
    found = float(expected_slope(0.3, {0: 1.7, 1: -0.4}, relaxations()["sharp"], module.rebar_slope))
    return abs(found - q * (1 - q) * -2.1)


def against_score_function(module: ModuleType, name: str) -> float:
    """REBAR with no control variate, on clips of two frames."""
    model, frames = case("two frames")
    estimator = build(module, name, model)
    with torch.no_grad():
        estimator.get_parameter("scale").zero_()
    plain = ESTIMATORS["score_function"](model.config)
    found, exact = (
        gradient(model, rule(terms_of(model, frames, [(1, 1), (0, 1, 0)]), frames, 1)) for rule in (estimator, plain)
    )
    return error(found, exact)


ELBO, PAIRS = against(exact_elbo, 1), against(exact_elbo, 2)
IWAE = against(exact_iwae(2), 2)

FAULTS: dict[str, tuple[Check, dict[str, tuple[str, str]]]] = {
    "score_function": (
        PAIRS,
        {
            "sign": ("(bound + signal * log_q)", "(bound - signal * log_q)"),
            "missing detach": ("to_go(bound.detach())", "to_go(bound)"),
            "signal forgotten": ("signal * log_q", "0 * signal * log_q"),
            "sum for mean": (".sum(0).mean()", ".sum()"),
            "baseline sees its own sample": (
                "signal = signal - self.baseline(signal)",
                "signal = signal - 0.5 * signal",
            ),
        },
    ),
    "closed_form": (
        against_elbo_of_one_object,
        {
            "sign": ("- (torch.sigmoid(total", "+ (torch.sigmoid(total"),
            "missing KL": ("+ total.kl_presence.sum()", "+ 0 * total.kl_presence.sum()"),
            "sum for mean": (") / len(total.log_likelihood)", ")"),
        },
    ),
    "closed_form_corrected": (
        PAIRS,
        {
            "sign": ("(left * bernoulli", "(-left * bernoulli"),
            "missing detach": ("to_go(bound.detach())", "to_go(bound)"),
            "nothing taken away": ("signal[rows.clip] - pres * gain", "signal[rows.clip]"),
            "taken away twice": ("- pres * gain", "- 2 * pres * gain"),
            "taken away when absent": ("- pres * gain", "- (1 - pres) * gain"),
            "baseline sees its own sample": (
                "(each.sum(1, keepdim=True) - each)",
                "(each.sum(1, keepdim=True) + each)",
            ),
            "sum for mean": ("loss / bound.shape[1]", "loss"),
        },
    ),
    "nvil_unscaled": (
        ELBO,
        {
            "sign": ("(bound.sum(0) + score)", "(bound.sum(0) - score)"),
            "missing detach": ("return bound, bound.detach(), log_q", "return bound, bound, log_q"),
            "baseline sees its own sample": (
                "signal = self._left(coming, learned.detach())",
                "self._take(coming, learned.detach()); signal = self._left(coming, learned.detach())",
            ),
        },
    ),
    "vimco": (
        IWAE,
        {
            "sign": ("(bound - leave_one_out(log_weight))", "(leave_one_out(log_weight) - bound)"),
            "missing detach": (
                "self.score(log_weight.detach(), bound.detach(), log_q)",
                "self.score(log_weight, bound, log_q)",
            ),
            "baseline sees its own sample": (
                "(log_weight.sum(0) - log_weight) / (particles - 1)",
                "log_weight + 0 * log_weight.mean(0)",
            ),
            "mean for sum": ("log_q).sum(0)", "log_q).mean(0)"),
            "signal of the published code": ("(bound - leave_one_out", "(log_weight - leave_one_out"),
        },
    ),
    "vimco_sqair": (
        against(published(2), 2),
        {
            "sign": ("((log_weight - leave_one_out(log_weight))", "((leave_one_out(log_weight) - log_weight)"),
            "missing detach": (
                "self.score(log_weight.detach(), bound.detach(), log_q)",
                "self.score(log_weight, bound, log_q)",
            ),
            "sum for mean": ("log_q).mean(0)", "log_q).sum(0)"),
        },
    ),
    "wake_wake": (
        against(posterior_seeking(2), 2, std=0.45),
        {
            "sign": ("(bound + (", "(bound - ("),
            "missing detach": ("log_weight.detach().softmax(0)", "log_weight.softmax(0)"),
            "q(z_pres) not held": ("log_q - log_q.detach()", "0 * log_q"),
            "mean for sum": ("log_q).sum(0)", "log_q).mean(0)"),
        },
    ),
    "enumeration": (
        against_enumeration,
        {
            "sign": ("return -(self.weight", "return (self.weight"),
            "missing detach": ("total.log_q_presence.exp()", "total.log_q_presence.detach().exp()"),
            "mean for sum": ("return particles * torch.where", "return torch.where"),
            "counted twice": ("(found == n)", "(found <= n)"),
        },
    ),
    "rebar": (
        against_quadrature,
        {
            "sign": ("(signal - anew) *", "(signal + anew) *"),
            "path forgotten": (" + path\n", "\n"),
            "path cut": (
                "again = conditional(logit, pres, noise[1])",
                "again = conditional(logit, pres, noise[1]).detach()",
            ),
            "control sees the bit": (
                "value, anew = control(z), control(again)",
                "value, anew = (control(v) * (1 + pres) for v in (z, again))",
            ),
        },
    ),
    "rebar of clips": (
        against_score_function,
        {
            "sign": ("loss - (slope.detach()", "loss + (slope.detach()"),
            "missing detach": ("to_go(bound.detach())", "to_go(bound)"),
            "sum for mean": ("loss / bound.shape[1]", "loss"),
        },
    ),
    "concrete": (
        concrete_error,
        {
            "sign": ("- self.kl_presence(total)", "+ self.kl_presence(total)"),
            "sum for mean": ("self.kl_presence(total)).mean()", "self.kl_presence(total)).sum()"),
            "weight forgotten": ("r.proposal.weight) * ratio", "r.proposal.weight * 0 + 1) * ratio"),
            "softness cut": ("soft * (soft > _FAINTEST)", "soft.detach() * (soft > _FAINTEST)"),
        },
    ),
    "concrete_hard": (
        concrete_hard_error,
        {
            "sign": ("(soft - soft.detach())", "(soft.detach() - soft)"),
            "softness cut": ("(soft - soft.detach())", "0 * soft"),
            "sum for mean": ("self.kl_presence(total)).mean()", "self.kl_presence(total)).sum()"),
        },
    ),
}  # fmt: skip
CASES = [(name, fault) for name, (_, faults) in FAULTS.items() for fault in faults]


def mutant(name: str, old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of an estimator, loaded again with ``old`` in its source replaced by ``new``."""
    whole = inspect.getsource(sys.modules[ESTIMATORS[name].__module__])
    assert old in whole
    module = ModuleType("mutant")
    monkeypatch.setitem(sys.modules, "mutant", module)  # dataclasses look for it there
    exec(whole.replace(old, new), module.__dict__)
    return module


@pytest.mark.parametrize("name", FAULTS)
def test_the_checks_pass_without_a_fault(name: str) -> None:
    check, _ = FAULTS[name]
    name = name.split()[0]
    assert check(sys.modules[ESTIMATORS[name].__module__], name) < 1e-6


@pytest.mark.parametrize(("name", "fault"), CASES)
def test_the_checks_find(name: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check, faults = FAULTS[name]
    name = name.split()[0]
    module = mutant(name, *faults[fault], monkeypatch)
    try:
        wrong = check(module, name)
    except RuntimeError:  # a loss that needs no gradient
        wrong = float("inf")
    assert not wrong < 1e-3  # it may not even be a number


TWIN_FAULTS = [
    ("relax", "net forgotten", "+ self.unit * self.net(seen)[:, 0]", ""),
    ("relax", "net sees the bit", "encoding.detach()", "encoding * rows.pres[:, None]"),
    ("relax", "sign of the KL", "- soft * rows.evidence.kl.detach()", "+ soft * rows.evidence.kl.detach()"),
    ("relax", "sum for mean", "loss / bound.shape[1]", "loss"),
    ("concrete_local", "sign", "loss - (slope * rows.q_logit).sum()", "loss + (slope * rows.q_logit).sum()"),
    ("concrete_local", "missing KL", "evidence.at(soft) - soft * evidence.kl.detach()", "evidence.at(soft)"),
    ("concrete_local", "temperature forgotten", "torch.sigmoid(z / temperature)", "torch.sigmoid(z)"),
    ("concrete_local", "sum for mean", "loss / len(total.elbo)", "loss"),
    ("nvil_paper", "KL differentiated as well", "return fixed, (fixed", "return fixed - total.kl_presence, (fixed"),
    ("nvil_paper", "missing detach", "(fixed + log_p - log_q).detach()", "(fixed + log_p - log_q)"),
    (
        "nvil",
        "baseline trained by the score",
        "signal = self._left(coming, learned.detach())",
        "signal = self._left(coming, learned)",
    ),
]  # fmt: skip
TWINS: dict[str, Callable[[], None]] = {
    "relax": lambda: twins.test_rebar_and_relax("relax"),
    "concrete_local": twins.test_concrete_local,
    "nvil_paper": twins.test_nvil_of_the_paper,
    "nvil": lambda: twins.test_nvil("nvil", 30.0),
}


@pytest.mark.parametrize(("name", "fault", "old", "new"), TWIN_FAULTS)
def test_the_twins_find(name: str, fault: str, old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the checks above do not see, or cannot be asked about; the same module unchanged has no fault."""
    kind = ESTIMATORS[name].__name__
    same, changed = (getattr(mutant(name, old, piece, monkeypatch), kind) for piece in (old, new))
    monkeypatch.setitem(ESTIMATORS, name, same)
    TWINS[name]()
    monkeypatch.setitem(ESTIMATORS, name, changed)
    with pytest.raises((AssertionError, RuntimeError)):  # or torch itself finds that something should be detached
        TWINS[name]()
