"""Results compare, print and become plain values."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edge_fgir.runtime import Frame, Region, Result, Timing

pytestmark = pytest.mark.unit


def made(**changes: Any) -> Result:
    """Return a result, with some fields changed."""
    probabilities = np.array([0.25, 0.625, 0.125], np.float32)
    result = Result("wren", 0.625, 1, False, probabilities, ("owl", "wren", "crow"), Timing(1, 2))
    return replace(result, **changes)


def test_results_are_equal_that_say_the_same() -> None:
    frame = Frame(np.zeros((2, 2, 3), np.uint8), 7, 0.5)
    assert made() == made(timing=Timing(3, 4), frame=frame)
    assert len({made(), made(frame=frame)}) == 1
    grid = np.zeros((2, 2), np.float32)
    assert made(map=grid) == made(map=grid.copy())


@pytest.mark.parametrize(
    "changes",
    [
        {"probabilities": np.array([0.25, 0.625, 0.126], np.float32)},
        {"labels": ("owl", "wren", "rook")},
        {"is_unknown": True},
        {"region": Region(0, 0, 2, 2)},
        {"map": np.zeros((2, 2), np.float32)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_results_differ_that_say_something_else(changes) -> None:
    assert made() != made(**changes)
    assert made(**changes) != made()
    assert made() != "wren"


def test_a_result_prints_what_matters() -> None:
    assert str(made()) == "wren 62.5 %"
    assert str(made(is_unknown=True)) == "wren 62.5 % (unknown)"
    new = made(is_unknown=True, is_new=True, novelty=0.9)
    assert str(new) == "wren 62.5 % (unknown: unlike what it learned)"
    shown = repr(made())
    assert shown.startswith("Result(label='wren', score=0.625, index=1, is_unknown=False")
    assert "array" not in shown


def test_a_result_becomes_plain_values() -> None:
    values = made(region=Region(1, 2.346, 3, 4)).to_dict(top=2)
    assert values == {
        "label": "wren",
        "score": 0.625,
        "is_unknown": False,
        "top": [["wren", 0.625], ["owl", 0.25]],
        "region": [1, 2.35, 3, 4],
    }
    assert "region" not in made().to_dict()
    assert json.loads(made().to_json()) == made().to_dict()
