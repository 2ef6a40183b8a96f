"""Changes of the code that are meant to change no behaviour do not: see golden_model.py."""

from __future__ import annotations

import json
from typing import Any

import pytest

from golden_model import CASES, STORED, case_of

EXPECTED = json.loads(STORED.read_text())


def compare(found: Any, expected: Any, where: str) -> None:
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for name, value in expected.items():
            compare(found[name], value, f"{where}.{name}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for i, (one, other) in enumerate(zip(found, expected, strict=True)):
            compare(one, other, f"{where}[{i}]")
    elif isinstance(expected, int):
        assert found == expected, where
    else:
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-9), where


def test_every_case_is_stored() -> None:
    assert EXPECTED.keys() == CASES.keys()


@pytest.mark.parametrize("name", CASES)
def test_the_model_does_what_it_did(name: str) -> None:
    compare(case_of(name), EXPECTED[name], name)


def test_what_is_compared_would_notice() -> None:
    found = case_of("light, sampled")
    found["gradient"]["propagation.gate.0.weight"] *= 1 + 1e-5
    with pytest.raises(AssertionError, match="gate.0.weight"):
        compare(found, EXPECTED["light, sampled"], "case")
