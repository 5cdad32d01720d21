from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from fake_machine import Clock
from hypothesis import given
from hypothesis import strategies as st

from edge_fgir.benchmarking import fixed_rate
from edge_fgir.benchmarking.fixed_rate import FixedRateRun, run_at_fixed_rate

pytestmark = pytest.mark.unit


def run(durations: Sequence[float], fps: float, seconds: float) -> tuple[FixedRateRun, list[float]]:
    """Run calls that take ``durations``, the last one for ever; also return when they began."""
    clock, begun = Clock(1000.0), []

    def call() -> None:
        begun.append(clock.now - 1000.0)
        clock.now += durations[min(len(begun), len(durations)) - 1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fixed_rate, "time", clock)
        return run_at_fixed_rate(call, fps, seconds), begun


def test_an_engine_that_keeps_up():
    found, begun = run([0.025], fps=10, seconds=2)
    assert (found.frames, found.answered, found.late, found.lost) == (20, 20, 0, 0)
    assert begun == pytest.approx([k / 10 for k in range(20)])
    assert found.duty == pytest.approx(0.25)
    assert found.latency.p50_ms == pytest.approx(25)
    assert found.result.model_dump()["lateness_ms"] is None


def test_a_slow_engine_misses_every_frame_and_catches_up_with_none():
    found, begun = run([0.25], fps=10, seconds=3)
    assert begun == pytest.approx([0.3 * k for k in range(10)])
    assert (found.frames, found.answered, found.late, found.lost) == (30, 10, 10, 20)
    assert found.result.model_dump()["missed"] == 1
    assert found.lateness_ms == pytest.approx([150] * 10)
    assert found.duty == pytest.approx(0.25 / 0.3)


def test_a_frame_that_is_only_just_late_is_missed_with_the_one_that_came_meanwhile():
    found, begun = run([0.15, 0.01], fps=10, seconds=0.5)
    assert begun == pytest.approx([0.0, 0.2, 0.3, 0.4])
    assert (found.late, found.lost) == (1, 1)
    assert found.lateness_ms == pytest.approx([50])


def test_one_slow_frame_costs_itself_and_those_that_came_meanwhile():
    found, begun = run([0.02, 0.02, 0.34, 0.02], fps=10, seconds=1)
    assert begun == pytest.approx([0.0, 0.1, 0.2, 0.6, 0.7, 0.8, 0.9])
    assert (found.frames, found.answered, found.late, found.lost) == (10, 7, 1, 3)
    assert found.result.model_dump()["lateness_ms"] == pytest.approx(
        {"p50": 240, "p99": 240, "max": 240}
    )
    assert found.latency.max_ms == pytest.approx(340)


def test_a_decision_at_the_moment_of_the_next_arrival_is_in_time():
    found, begun = run([0.1], fps=10, seconds=1)
    assert (found.answered, found.late, found.lost) == (10, 0, 0)
    assert begun == pytest.approx([k / 10 for k in range(10)])
    assert found.duty == pytest.approx(1)


def test_the_last_frame_may_be_late_too():
    found, _ = run([0.01, 0.25], fps=10, seconds=0.2)
    assert (found.frames, found.late, found.lost) == (2, 1, 0)
    assert found.duty == pytest.approx(0.26 / 0.35)


def test_a_late_wake_up_counts(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(fixed_rate, "time", clock)
    monkeypatch.setattr(clock, "sleep", lambda left: Clock.sleep(clock, left + 0.004))
    found = run_at_fixed_rate(lambda: Clock.sleep(clock, 0.01), 10, 1)
    assert found.latency.max_ms == pytest.approx(14)
    assert found.latency.p50_ms == pytest.approx(14)


def test_a_short_run_still_has_a_frame_and_no_repeats():
    found, _ = run([0.01], fps=1, seconds=0.1)
    assert (found.frames, found.medians) == (1, None)


def test_repeats_are_the_halves():
    found, _ = run([0.01] * 5 + [0.03], fps=10, seconds=1)
    assert found.medians == pytest.approx((10, 30))


@given(
    st.lists(st.floats(0.0, 0.5), min_size=1, max_size=40),
    st.floats(1, 60),
    st.floats(0.1, 3),
)
def test_every_frame_is_answered_or_lost(durations, fps, seconds):
    found, begun = run(durations, fps, seconds)
    body = found.result.model_dump()
    assert body["answered"] + body["lost"] == body["frames"]
    assert 0 <= body["late"] <= body["answered"]
    assert 0 <= body["missed"] <= 1
    assert 0 <= body["duty"] <= 1 + 1e-9
    assert len(found.lateness_ms) == found.late
    assert all(value > 0 for value in found.lateness_ms)
    for at in begun:  # nothing starts between two arrivals
        assert at * fps == pytest.approx(round(at * fps), abs=1e-3)
    assert json.loads(json.dumps(body)) == body
