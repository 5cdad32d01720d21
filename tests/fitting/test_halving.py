"""Arithmetic of successive halving."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_fgir.fitting.halving import epochs_within, rungs

pytestmark = pytest.mark.unit


def test_four_arms_have_three_rungs_of_equal_time() -> None:
    plan = rungs(4, 1200.0, least=10)
    assert [(rung.arms, rung.seconds) for rung in plan] == [(4, 100.0), (2, 200.0), (1, 400.0)]


def test_three_arms_are_not_four() -> None:
    assert [rung.arms for rung in rungs(3, 900.0, least=1)] == [3, 2, 1]


def test_too_little_time_for_all_goes_to_the_best() -> None:
    assert [(r.arms, r.seconds) for r in rungs(4, 100.0, least=25)] == [(2, 25.0), (1, 50.0)]
    assert [(r.arms, r.seconds) for r in rungs(4, 30.0, least=25)] == [(1, 30.0)]
    assert rungs(4, 20.0, least=25) == []


@given(arms=st.integers(1, 64), seconds=st.floats(0.1, 1e6), least=st.floats(0.01, 1e3))
def test_the_time_is_used_up_and_every_survivor_gets_more(arms, seconds, least) -> None:
    plan = rungs(arms, seconds, least)
    if not plan:
        assert seconds < least
        return
    assert sum(r.arms * r.seconds for r in plan) == pytest.approx(seconds)
    assert plan[-1].arms == 1
    assert all(r.seconds >= least * 0.999 for r in plan)
    assert all(a.arms > b.arms and a.seconds < b.seconds for a, b in zip(plan, plan[1:]))  # noqa: B905, RUF007
    assert plan[0].arms <= arms


@given(seconds=st.floats(0, 1e5), step=st.floats(1e-4, 1e3), per_epoch=st.integers(1, 10_000))
def test_whole_epochs_fit_and_one_more_would_not(seconds, step, per_epoch) -> None:
    epochs = epochs_within(seconds, step, per_epoch)
    assert epochs * step * per_epoch <= seconds * (1 + 1e-9)
    assert (epochs + 1) * step * per_epoch >= seconds * (1 - 1e-9)
