"""A call run back to back for long, so that heat shows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import chain

import numpy as np

from edge_fgir._progress import progress
from edge_fgir.benchmarking.protocol import Call, percentiles
from edge_fgir.results import Percentiles, SustainedRun

WINDOWS = 60
"""Into how many the time is cut."""

_TENTH = WINDOWS // 10


@dataclass(frozen=True)
class Sustained:
    """Run times, window by window.

    Attributes:
        window_s: Length of a window, seconds; the last run of one may end after it.
        windows: Run times in each, seconds.
    """

    window_s: float
    windows: tuple[tuple[float, ...], ...]

    @property
    def answered(self) -> int:
        """How many frames were answered."""
        return sum(map(len, self.windows))

    @property
    def latency(self) -> Percentiles:
        """Over the last tenth of the windows; steady where it agrees with the tenth before."""
        before, now = self.medians
        last = list(chain.from_iterable(self.windows[-_TENTH:]))
        return percentiles(last, steady=abs(now - before) < 0.01 * before)

    @property
    def medians(self) -> tuple[float, float]:
        """Median of the last tenth but one and of the last, milliseconds."""
        return _median(self.windows[-2 * _TENTH : -_TENTH]), _median(self.windows[-_TENTH:])

    @property
    def result(self) -> SustainedRun:
        """The part of a ``latency`` result that tells of it."""
        return SustainedRun(
            window_s=self.window_s,
            runs=self.answered,
            drift=self.medians[1] / _median(self.windows[:_TENTH]),
            p50_ms=tuple(_median((window,)) for window in self.windows),
        )


def sustain(call: Call, seconds: float) -> Sustained:
    """Run ``call`` back to back for at least ``seconds``, with at least one run in each window."""
    window_s = seconds / WINDOWS
    windows: list[tuple[float, ...]] = []
    with progress("measuring, sustained", WINDOWS) as meter:
        now = start = time.perf_counter()
        for number in range(1, WINDOWS + 1):
            times: list[float] = []
            while not times or now < start + number * window_s:
                before = now
                call()
                now = time.perf_counter()
                times.append(now - before)
            windows.append(tuple(times))
            meter.advance()
            now = time.perf_counter()
    return Sustained(window_s, tuple(windows))


def _median(windows: tuple[tuple[float, ...], ...]) -> float:
    return float(np.median(list(chain.from_iterable(windows))) * 1e3)
