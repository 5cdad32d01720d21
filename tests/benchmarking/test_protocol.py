from __future__ import annotations

from itertools import groupby
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_fgir.benchmarking import Protocol, WarmUp, bench, measure, protocol, warm_up
from edge_fgir.benchmarking.bundle_bench import Baseline
from edge_fgir.benchmarking.protocol import percentiles
from edge_fgir.runtime import Classifier

pytestmark = pytest.mark.unit


COLD = WarmUp(least_s=0, most_s=0)


class Clock:
    """Time that passes only while a call made here runs."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []

    def call(self, duration, name: str = "call"):
        """Return a call that takes ``duration`` seconds, or ``duration(number of the run)``."""

        def run() -> None:
            number = self.calls.count(name)
            self.calls.append(name)
            self.now += duration(number) if callable(duration) else duration

        return run


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    fake = SimpleNamespace(perf_counter=lambda: clock.now)
    monkeypatch.setattr(protocol, "time", fake)
    return clock


def test_percentiles_of_known_times():
    found = percentiles([n / 1e3 for n in range(100, 0, -1)], steady=True)
    assert (found.p50_ms, found.p90_ms, found.p99_ms) == pytest.approx((50.5, 90.1, 99.01))
    assert found.mean_ms == pytest.approx(50.5)
    assert found.sd_ms == pytest.approx((((100**2) - 1) / 12) ** 0.5)
    assert found.max_ms == pytest.approx(100)
    assert (found.n, found.steady) == (100, True)
    low, high = found.p50_interval_ms
    assert 40 < low < 50.5 < high < 61


def test_one_slow_run_moves_the_mean_and_the_maximum_alone():
    found = percentiles([0.002] * 999 + [1.0], steady=False)
    assert (found.p50_ms, found.p90_ms, found.p99_ms) == pytest.approx((2, 2, 2))
    assert found.max_ms == pytest.approx(1000)
    assert found.mean_ms == pytest.approx(2.998)
    assert found.p50_interval_ms == pytest.approx((2, 2))
    assert not found.steady


@settings(max_examples=15)
@given(st.lists(st.floats(1e-6, 10), min_size=1, max_size=60))
def test_percentiles_are_in_order(times):
    found = percentiles(times, steady=True)
    low, high = found.p50_interval_ms
    slack = 1 + 1e-9
    assert min(times) * 1e3 <= low * slack
    assert low <= high * slack
    assert found.p50_ms <= found.p90_ms * slack
    assert found.p90_ms <= found.p99_ms * slack
    assert found.p99_ms <= found.max_ms * slack
    assert found.max_ms == max(times) * 1e3
    assert found == percentiles(times, steady=True)


def test_all_figures_of_two_runs():
    assert percentiles([0.001, 0.003], steady=True).model_dump() == {
        "p50_ms": 2.0,
        "p90_ms": pytest.approx(2.8),
        "p99_ms": pytest.approx(2.98),
        "mean_ms": 2.0,
        "sd_ms": 1.0,
        "max_ms": 3.0,
        "n": 2,
        "p50_interval_ms": (1.0, 3.0),
        "steady": True,
    }


def test_a_steady_call_settles_after_two_windows(clock):
    assert warm_up(clock.call(0.02))
    assert len(clock.calls) == 100


def test_a_fast_call_is_warmed_for_a_second(clock):
    assert warm_up(clock.call(1 / 1024))
    assert 1.0 <= clock.now < 1.0 + 51 / 1024


def test_a_call_that_gets_faster_settles_when_it_is_fast(clock):
    assert warm_up(clock.call(lambda run: 0.05 if run < 60 else 0.02))
    assert len(clock.calls) == 150


def test_a_call_that_never_settles_ends_after_thirty_seconds(clock):
    assert not warm_up(clock.call(lambda run: 0.01 * 1.001**run))
    assert 30 <= clock.now < 30.5


def test_a_change_of_less_than_one_percent_is_steady(clock):
    assert warm_up(clock.call(lambda run: 0.02 if run < 50 else 0.0201))
    assert len(clock.calls) == 100


def test_a_change_of_more_than_one_percent_is_not(clock):
    assert warm_up(clock.call(lambda run: 0.02 if run < 50 else 0.0203))
    assert len(clock.calls) == 150


def test_a_call_too_slow_for_two_windows_is_not_called_steady(clock):
    assert not warm_up(clock.call(0.5))
    assert len(clock.calls) == 60


def test_calls_take_twenty_turns(clock):
    calls = {name: clock.call(0.01, name) for name in ("network", "frame", "baseline")}
    measure(calls, Protocol(seconds=0.1, runs=60, warm_up=COLD))
    turns = [(name, len(list(runs))) for name, runs in groupby(clock.calls)]
    assert turns == [("network", 4), ("frame", 4), ("baseline", 4)] * 20


def test_the_first_run_of_a_turn_is_not_counted(clock):

    def duration(name: str):
        return lambda run: 0.001 if clock.calls[-2:] == [name, name] else 0.5

    calls = {name: clock.call(duration(name), name) for name in "ab"}
    found = measure(calls, Protocol(seconds=0.01, runs=100, warm_up=COLD))
    for latency in found.values():
        assert latency.max_ms == pytest.approx(1)


@pytest.mark.parametrize(
    ("seconds", "min_runs", "runs"), [(0.1, 1000, 1000), (30.0, 10, 3000), (1.0, 110, 120)]
)
def test_both_bounds_are_kept(clock, seconds, min_runs, runs):
    (found,) = measure(
        {"a": clock.call(0.01)}, Protocol(seconds=seconds, runs=min_runs, warm_up=COLD)
    ).values()
    assert runs <= found.n <= runs + 20
    assert found.p50_ms == pytest.approx(10)


def test_every_call_gets_the_same_time(clock):
    calls = {"fast": clock.call(0.001, "fast"), "slow": clock.call(0.1, "slow")}
    found = measure(calls, Protocol(seconds=3, runs=10, warm_up=COLD))
    assert 3000 <= found["fast"].n <= 3020
    assert found["slow"].n == 40
    assert found["fast"].p50_ms == pytest.approx(1)
    assert found["slow"].p50_ms == pytest.approx(100)


def test_a_thousand_runs_unless_said_otherwise(clock):
    (found,) = measure({"a": clock.call(0.1)}, Protocol(seconds=1, warm_up=COLD)).values()
    assert found.n == 1000


def test_each_call_is_warmed_up_and_says_whether_it_settled(clock):
    calls = {
        "steady": clock.call(0.01, "steady"),
        "restless": clock.call(lambda run: 0.01 * 1.001**run, "restless"),
    }
    found = measure(calls, Protocol(seconds=0.1, runs=25))
    assert (found["steady"].steady, found["restless"].steady) == (True, False)


@pytest.mark.export
def test_bench_measures_the_network_and_the_way_from_the_frame(tiny_bundle, quick_bench):
    with Classifier.open(tiny_bundle) as model:
        body: Any = bench(model, seconds=0.01).to_dict()
        info = model.info
    assert {key: body[key] for key in info} == info
    assert body["scope"] == "frame_to_decision"
    assert body["certified"] == (not body["uncertified_because"])
    assert list(body["scopes"]) == ["network", "frame_to_decision"]
    for scope in body["scopes"].values():
        assert 0 < scope["p50_ms"] <= scope["p90_ms"] <= scope["p99_ms"] <= scope["max_ms"]
        assert scope["n"] >= 100
    assert {key: body[key] for key in body["scopes"]["network"]} == body["scopes"][
        "frame_to_decision"
    ]
    size = sum(p.stat().st_size for p in (tiny_bundle / "openvino").iterdir())
    assert body["model_bytes"] == size
    assert body["baseline"] is None


@pytest.mark.export
def test_bench_measures_a_baseline_in_the_same_run(tiny_bundle, quick_bench):
    runs = []
    baseline = Baseline("torch", lambda: runs.append(sum(range(3000))))
    with Classifier.open(tiny_bundle) as model:
        latency = bench(model, seconds=0.01, baseline=baseline)
    assert latency.baseline.name == "torch"
    assert 100 <= latency.baseline.n < len(runs)
    ratio = latency.baseline.p50_ms / latency.scopes.network.p50_ms
    assert latency.baseline.times_slower == pytest.approx(ratio)
