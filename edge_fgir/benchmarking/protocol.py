"""Measuring a call: warm up until steady, then many runs, and percentiles instead of one mean."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edge_fgir._progress import progress

_WINDOW = 50
_STEADY = 0.01
_MIN_WARMUP_S, _MAX_WARMUP_S = 1.0, 30.0
_ROUNDS = 20
_BOOTSTRAP = 1000

Call = Callable[[], object]


@dataclass(frozen=True)
class Latency:
    """Latency of one call, milliseconds.

    Attributes:
        p50_ms: Median.
        p90_ms: 90th percentile.
        p99_ms: 99th percentile.
        mean_ms: Mean.
        sd_ms: Standard deviation.
        max_ms: Slowest run.
        n: Number of runs.
        p50_interval_ms: Bootstrap 95 % interval of the median.
        steady: The warm-up ended because the median had settled, not because time was up.
    """

    p50_ms: float
    p90_ms: float
    p99_ms: float
    mean_ms: float
    sd_ms: float
    max_ms: float
    n: int
    p50_interval_ms: tuple[float, float]
    steady: bool

    @classmethod
    def of(cls, seconds: list[float], *, steady: bool) -> Latency:
        """Summarise run times in seconds."""
        times = np.asarray(seconds) * 1e3
        random = np.random.default_rng(0)
        medians = [np.median(random.choice(times, len(times))) for _ in range(_BOOTSTRAP)]
        low, high = np.percentile(medians, [2.5, 97.5])
        p50, p90, p99 = np.percentile(times, [50, 90, 99])
        return cls(
            p50_ms=float(p50),
            p90_ms=float(p90),
            p99_ms=float(p99),
            mean_ms=float(times.mean()),
            sd_ms=float(times.std()),
            max_ms=float(times.max()),
            n=len(times),
            p50_interval_ms=(float(low), float(high)),
            steady=steady,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Runs:
    """Run times of one call, seconds, and whether its warm-up settled."""

    seconds: list[float]
    steady: bool


def warm_up(call: Call, most_seconds: float | None = None) -> bool:
    """Repeat ``call`` until the median of 50 runs changes by less than 1 %, 1 to 30 seconds.

    Args:
        call: What is run.
        most_seconds: Upper bound instead of the 30 seconds.

    Returns:
        Whether it settled.
    """
    most = _MAX_WARMUP_S if most_seconds is None else most_seconds
    start, times = time.perf_counter(), list[float]()
    while (spent := time.perf_counter() - start) < most:
        times.append(_timed(call))
        if len(times) >= 2 * _WINDOW and spent >= _MIN_WARMUP_S and len(times) % _WINDOW == 0:
            before, now = np.median(times[-2 * _WINDOW : -_WINDOW]), np.median(times[-_WINDOW:])
            if abs(now - before) < _STEADY * before:
                return True
    return False


def measure(
    calls: Mapping[str, Call],
    *,
    seconds: float = 10.0,
    min_runs: int = 1000,
    most_warm_up_s: float | None = None,
) -> dict[str, Latency]:
    """Measure several calls side by side, in 20 alternating turns, so that drift hits all alike.

    Args:
        calls: By name.
        seconds: Lower bound of the measuring time of each call.
        min_runs: Lower bound of the runs of each call.
        most_warm_up_s: See :func:`warm_up`.
    """
    runs = time_runs(calls, seconds=seconds, min_runs=min_runs, most_warm_up_s=most_warm_up_s)
    return {name: Latency.of(one.seconds, steady=one.steady) for name, one in runs.items()}


def time_runs(
    calls: Mapping[str, Call],
    *,
    seconds: float,
    min_runs: int,
    most_warm_up_s: float | None = None,
    rounds: int = _ROUNDS,
) -> dict[str, Runs]:
    """Return the run times behind :func:`measure`, which has the same arguments but ``rounds``."""
    steady = {name: warm_up(call, most_warm_up_s) for name, call in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    with progress("measuring", rounds * len(calls)) as meter:
        for _ in range(rounds):
            for name, call in calls.items():
                # The first run of a turn pays for what the other call left in the caches.
                call()
                times[name] += _turn(call, seconds / rounds, math.ceil(min_runs / rounds))
                meter.advance()
    return {name: Runs(times[name], steady[name]) for name in calls}


def _turn(call: Call, seconds: float, runs: int) -> list[float]:
    times: list[float] = []
    spent = 0.0
    while spent < seconds or len(times) < runs:
        times.append(_timed(call))
        spent += times[-1]
    return times


def _timed(call: Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
