from __future__ import annotations

import json

import pytest
from fake_machine import Clock

from edge_fgir.benchmarking import sustained
from edge_fgir.benchmarking.sustained import WINDOWS, Sustained, sustain

pytestmark = pytest.mark.unit


def run(duration, seconds: float) -> tuple[Sustained, float]:
    """Sustain a call of ``duration(seconds since the start)``; also return when it ended."""
    clock = Clock(500.0)

    def call() -> None:
        clock.now += duration(clock.now - 500.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sustained, "time", clock)
        found = sustain(call, seconds)
    return found, clock.now - 500.0


def test_a_machine_that_stays_cool():
    found, end = run(lambda at: 0.25, 600)
    assert (found.window_s, len(found.windows), found.answered) == (10, WINDOWS, 2400)
    assert end == pytest.approx(600)
    assert found.result.model_dump(mode="json")["drift"] == pytest.approx(1)
    assert found.latency.n == 240
    assert found.latency.steady
    assert found.medians == pytest.approx((250, 250))


def test_throttling_shows_in_the_windows_and_the_end_is_what_counts():
    found, _ = run(lambda at: 0.25 if at < 300 else 0.5, 600)
    p50 = found.result.model_dump(mode="json")["p50_ms"]
    assert p50 == pytest.approx([250] * 30 + [500] * 30)
    assert found.latency.p50_ms == pytest.approx(500)
    assert found.result.model_dump(mode="json")["drift"] == pytest.approx(2)
    assert found.latency.steady


def test_what_has_not_settled_is_not_called_steady():
    found, _ = run(lambda at: 0.25 if at < 540 else 0.3, 600)
    assert not found.latency.steady
    assert found.medians == pytest.approx((250, 300))


def test_a_call_slower_than_a_window_still_runs_in_each():
    found, end = run(lambda at: 1.5, 60)
    assert [len(window) for window in found.windows] == [1] * WINDOWS
    assert end == pytest.approx(90)


def test_to_dict_is_plain():
    found, _ = run(lambda at: 0.5, 60)
    body = found.result.model_dump(mode="json")
    assert json.loads(json.dumps(body)) == body
    assert (body["runs"], body["window_s"], len(body["p50_ms"])) == (120, 1.0, WINDOWS)
