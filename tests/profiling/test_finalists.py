"""Which of the finalists is the best, by what they say of the same pictures."""

from types import SimpleNamespace

import numpy as np
import pytest

from edge_fgir import InputError
from edge_fgir.evaluation import Answers
from edge_fgir.models import Setting
from edge_fgir.profiling.candidates import Variant
from edge_fgir.profiling.finalists import Finalist, ranked
from edge_fgir.profiling.pipeline import _check_budget, _why
from edge_fgir.results import Budget, Cost, TopOne

pytestmark = pytest.mark.unit

PICTURES, CLASSES = 300, 5
LABELS = np.arange(PICTURES) % CLASSES


def finalist(size: int, ms: float, noise: float, *, built: bool = True) -> Finalist:
    """Return a finalist whose answers are the truth and some noise of its own."""
    logits = 3.0 * np.eye(CLASSES)[LABELS]
    logits += noise * np.random.default_rng(size).normal(size=logits.shape)
    powers = np.exp(logits)
    answers = Answers(powers / powers.sum(axis=1, keepdims=True), LABELS, ())
    top1 = 100 * float((logits.argmax(axis=1) == LABELS).mean())
    return Finalist(
        SimpleNamespace(),
        Variant(Setting(size), "int8"),
        TopOne(top1=top1, low=0, high=100),
        Cost(latency_ms=ms, size_mb=1.0),
        answers=answers if built else None,
    )


def sizes(finalists: list[Finalist], **budget: float) -> list[int]:
    order = ranked(finalists, Budget(**budget))
    return [each.variant.setting.image_size for each in order]


def test_of_what_pictures_cannot_tell_apart_the_fastest_is_taken_and_the_plan_says_so() -> None:
    accurate, fast = finalist(96, 2.0, 1.5), finalist(46, 1.0, 1.5)
    assert accurate.accuracy.top1 > fast.accuracy.top1
    order = ranked([accurate, fast], Budget(latency_ms=3))
    assert order[0] is fast
    why = _why(order, Budget(latency_ms=3))
    assert why.startswith("the fastest of 2 finalists within 3 ms")
    assert "96 px has" in why
    assert "which the split cannot tell from it" in why
    assert ranked([accurate, fast], Budget(latency_ms=3, min_accuracy=79.5))[0] is accurate


def test_what_is_surely_worse_is_not_taken_for_its_speed() -> None:
    accurate, fast = finalist(96, 2.0, 1.2), finalist(64, 1.0, 3.5)
    order = ranked([fast, accurate], Budget(latency_ms=3))
    assert order[0] is accurate
    assert _why(order, Budget(latency_ms=3)).startswith("the most accurate of 2 finalists")


def test_the_budget_comes_first() -> None:
    accurate, slow = finalist(64, 1.0, 2.5), finalist(128, 5.0, 0.5)
    assert sizes([slow, accurate], latency_ms=3) == [64, 128]


def test_of_what_is_not_accurate_enough_the_nearest_comes_first_and_is_refused() -> None:
    near, fast = finalist(96, 2.0, 1.5), finalist(46, 1.0, 3.5)
    assert fast.accuracy.top1 < near.accuracy.top1 < 99
    budget = Budget(min_accuracy=99)
    order = ranked([fast, near], budget)
    assert order == [near, fast]
    with pytest.raises(InputError, match=r"96 px in int8, has top-1 \d\d\.\d\d %; expected 99 %"):
        _check_budget(order[0], budget)
    reached = Budget(min_accuracy=near.accuracy.top1)
    assert ranked([fast, near], reached)[0] is near
    _check_budget(near, reached)


def test_without_answers_the_figures_decide() -> None:
    accurate, fast = (finalist(*each, built=False) for each in ((96, 2.0, 1.5), (64, 1.0, 1.7)))
    best = max((accurate, fast), key=lambda each: each.accuracy.top1)
    assert sizes([accurate, fast], latency_ms=3)[0] == best.variant.setting.image_size
