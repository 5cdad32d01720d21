"""Frames that arrive on a clock, as a camera's do."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

from edge_fgir._errors import InputError
from edge_fgir._progress import progress
from edge_fgir.benchmarking.protocol import Call, percentiles
from edge_fgir.results import FixedRate, Lateness, Percentiles

RULE = (
    "frame k arrives at k/fps and must be decided before frame k+1 arrives; a frame that arrives "
    "while another is worked on is lost; nothing is queued, so nothing is caught up with"
)
"""When a frame misses its deadline."""

_MOST_FPS = 1_000_000
# Of a period: a decision at the very moment of the next arrival is in time.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class FixedRateRun:
    """How an engine kept up with a camera.

    Attributes:
        fps: Frames a second.
        frames: How many arrived.
        late: Decided after their deadline.
        lost: Never looked at.
        lateness_ms: For every late frame, how long after its deadline.
        duty: Share of the time that the engine worked, 0 to 1.
        seconds: From the arrival of each answered frame to its decision.
    """

    fps: float
    frames: int
    late: int
    lost: int
    lateness_ms: tuple[float, ...]
    duty: float
    seconds: tuple[float, ...]

    @property
    def latency(self) -> Percentiles:
        """From arrival to decision, over the frames that were answered."""
        return percentiles(self.seconds, steady=True)

    @property
    def answered(self) -> int:
        """How many frames were looked at, in time or not."""
        return len(self.seconds)

    @property
    def medians(self) -> tuple[float, float] | None:
        """Median of the first and of the second half of the answers; None below two answers."""
        middle = len(self.seconds) // 2
        if not middle:
            return None
        first, second = self.seconds[:middle], self.seconds[middle:]
        return float(np.median(first) * 1e3), float(np.median(second) * 1e3)

    @property
    def result(self) -> FixedRate:
        """The part of a ``latency`` result that tells of it."""
        return FixedRate(
            fps=self.fps,
            frames=self.frames,
            answered=self.answered,
            late=self.late,
            lost=self.lost,
            missed=(self.late + self.lost) / self.frames,
            lateness_ms=_lateness(self.lateness_ms),
            duty=self.duty,
            rule=RULE,
        )


def check_rate(fps: float) -> None:
    """Refuse a rate at which no frames can arrive.

    Raises:
        InputError: It is no number above 0, or larger than makes sense.
    """
    if not 0 < fps <= _MOST_FPS:
        raise InputError(f"{fps:g} frames a second", f"a number above 0, at most {_MOST_FPS}")


def run_at_fixed_rate(call: Call, fps: float, seconds: float) -> FixedRateRun:
    """Run ``call`` for frames that arrive ``fps`` times a second; see ``RULE``.

    Args:
        call: From a frame to its decision.
        fps: Frames a second.
        seconds: How long frames arrive; at least one does.
    """
    frames = max(round(seconds * fps), 1)
    took: list[float] = []
    lateness: list[float] = []
    busy = 0.0
    lost = 0
    start = time.perf_counter()
    with progress(f"measuring at {fps:g} frames/s", frames) as meter:
        frame = 0
        while frame < frames:
            arrival = start + frame / fps
            _sleep_until(arrival)
            begun = time.perf_counter()
            call()
            done = time.perf_counter()
            busy += done - begun
            took.append(done - arrival)
            # The next frame is the first that arrives from now on; those before it are lost.
            following = max(frame + 1, _first_from(done - start, fps))
            if following > frame + 1:
                lateness.append((done - arrival - 1 / fps) * 1e3)
            lost += min(following, frames) - frame - 1
            meter.advance(min(following, frames) - frame)
            frame = following
        end = max(time.perf_counter(), start + frames / fps)
    return FixedRateRun(
        fps=fps,
        frames=frames,
        late=len(lateness),
        lost=lost,
        lateness_ms=tuple(lateness),
        duty=busy / (end - start),
        seconds=tuple(took),
    )


def _first_from(elapsed: float, fps: float) -> int:
    """Return the first frame that arrives at ``elapsed`` seconds or later."""
    return math.ceil(elapsed * fps - _ROUNDING)


def _sleep_until(moment: float) -> None:
    while (left := moment - time.perf_counter()) > 0:
        time.sleep(left)


def _lateness(values: tuple[float, ...]) -> Lateness | None:
    if not values:
        return None
    p50, p99 = np.percentile(values, [50, 99])
    return Lateness(p50=float(p50), p99=float(p99), max=max(values))
