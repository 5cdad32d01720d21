"""How calls are timed: warm up until steady, then short turns side by side, and percentiles."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from edge_fgir._progress import progress
from edge_fgir.results import Percentiles

_WINDOW = 50
"""Runs of a warm-up whose median is compared with that of as many before."""
_STEADY = 0.01
"""Relative change of that median which counts as none."""
_BOOTSTRAP = 1000

Call = Callable[[], object]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WarmUp(_Value):
    """How long a call is repeated before it is timed: until its median settles, within bounds."""

    least_s: Annotated[float, Field(ge=0, le=600, description="seconds, at least")] = 1.0
    most_s: Annotated[float, Field(ge=0, le=600, description="seconds, at most")] = 30.0


class StoppingRule(_Value):
    """How many blocks of rounds are taken: until every call's time is exact, within bounds."""

    fewest: Annotated[int, Field(ge=2, le=100, description="blocks, however slow the calls")] = 2
    brief: Annotated[
        int, Field(ge=2, le=100, description="blocks of calls that need not be exact")
    ] = 4
    most: Annotated[int, Field(ge=2, le=1000, description="blocks of what never settles")] = 24
    exact: Annotated[
        float, Field(gt=0, lt=1, description="standard error that is exact enough, relative")
    ] = 0.005
    seconds: Annotated[
        float, Field(gt=0, le=3600, description="measuring time, at most, for each exact call")
    ] = 10.0


class Protocol(_Value):
    """How calls are timed side by side.

    A block is a number of rounds; in every round each call runs for one turn, so that what slows
    the machine slows all calls alike.
    """

    rounds: Annotated[int, Field(ge=1, le=1000, description="of a block")] = 20
    runs: Annotated[
        int, Field(ge=1, le=1_000_000, description="of each call in a block, at least")
    ] = 1000
    seconds: Annotated[
        float, Field(ge=0, le=86400, description="of each call in a block, at least")
    ] = 10.0
    warm_up: WarmUp = WarmUp()
    stop: Annotated[
        StoppingRule | None, Field(description="for interleaved timing; None: a single block")
    ] = None

    @property
    def turn_runs(self) -> int:
        """Runs of one turn, at least."""
        return math.ceil(self.runs / self.rounds)


BENCH = Protocol()
"""For a figure that is told."""
PROBES = Protocol(
    rounds=10, runs=20, seconds=0, warm_up=WarmUp(least_s=0, most_s=0.4), stop=StoppingRule()
)
"""For many networks at once, on a machine that also does other things."""


@dataclass(frozen=True)
class Runs:
    """Run times of one call, seconds, and whether its warm-up settled."""

    seconds: list[float]
    steady: bool


def percentiles(seconds: Sequence[float], *, steady: bool) -> Percentiles:
    """Summarise run times in seconds; ``steady``: the warm-up before them settled."""
    times = np.asarray(seconds) * 1e3
    random = np.random.default_rng(0)
    medians = [np.median(random.choice(times, len(times))) for _ in range(_BOOTSTRAP)]
    low, high = np.percentile(medians, [2.5, 97.5])
    p50, p90, p99 = np.percentile(times, [50, 90, 99])
    return Percentiles(
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


def warm_up(call: Call, bounds: WarmUp = BENCH.warm_up) -> bool:
    """Repeat ``call`` until the median of 50 runs changes by less than 1 %.

    Returns:
        Whether it settled before the time was over.
    """
    start, times = time.perf_counter(), list[float]()
    while (spent := time.perf_counter() - start) < bounds.most_s:
        times.append(_timed(call))
        if len(times) >= 2 * _WINDOW and spent >= bounds.least_s and len(times) % _WINDOW == 0:
            before, now = np.median(times[-2 * _WINDOW : -_WINDOW]), np.median(times[-_WINDOW:])
            if abs(now - before) < _STEADY * before:
                return True
    return False


def measure(calls: Mapping[str, Call], protocol: Protocol = BENCH) -> dict[str, Percentiles]:
    """Measure several calls side by side, in one block of the protocol.

    Args:
        calls: By name.
        protocol: How long, and in how many rounds.
    """
    runs = time_runs(calls, protocol)
    return {name: percentiles(each.seconds, steady=each.steady) for name, each in runs.items()}


def time_runs(calls: Mapping[str, Call], protocol: Protocol) -> dict[str, Runs]:
    """Return the run times behind :func:`measure`."""
    steady = {name: warm_up(call, protocol.warm_up) for name, call in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    with progress("measuring", protocol.rounds * len(calls)) as meter:
        for _ in range(protocol.rounds):
            for name, call in calls.items():
                # The first run of a turn pays for what the other call left in the caches.
                call()
                times[name] += _turn(call, protocol)
                meter.advance()
    return {name: Runs(times[name], steady[name]) for name in calls}


def _turn(call: Call, protocol: Protocol) -> list[float]:
    times: list[float] = []
    spent = 0.0
    while spent < protocol.seconds / protocol.rounds or len(times) < protocol.turn_runs:
        times.append(_timed(call))
        spent += times[-1]
    return times


def _timed(call: Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
