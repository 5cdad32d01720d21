"""What ``edge-fgir camera`` prints, sends and counts."""

from __future__ import annotations

import json
import statistics
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edge_fgir.cli._app import echo

if TYPE_CHECKING:
    from edge_fgir.runtime import Counters, Event, Frame, Result, Sink, Tracker


def print_lines(*values: dict[str, Any]) -> None:
    """Print JSON objects, a line each."""
    for value in values:
        echo(json.dumps(value, ensure_ascii=False, allow_nan=False))


def result_line(result: Result, top: int) -> dict[str, Any]:
    """Return what is printed of a frame, with its ``top`` most probable classes."""
    frame = frame_of(result)
    return {
        "frame": frame.index,
        "timestamp": round(frame.timestamp, 6),
        **result.to_dict(top),
        "latency_ms": round(result.timing.total_ms, 3),
        "dropped": frame.dropped,
    }


def frame_of(result: Result) -> Frame:
    """Return the frame that a result of a stream has."""
    assert result.frame is not None
    return result.frame


class Desk:
    """Takes the tracker's events to where they are wanted."""

    def __init__(
        self, tracker: Tracker, sinks: Sequence[Sink], counters: Counters, *, prints: bool
    ) -> None:
        self.tracker = tracker
        self._sinks, self._counters, self._prints = sinks, counters, prints

    def take(self, events: Sequence[Event]) -> None:
        """Print, count and send events."""
        for event in events:
            self._counters.count_event(event)
            if self._prints:
                print_lines(event.to_dict())
            for sink in self._sinks:
                sink.send(event)

    def close(self) -> None:
        """Write the last counters, and say what was lost; the sinks are closed by now."""
        self._counters.write(now=True)
        if lost := sum(sink.lost for sink in self._sinks):
            echo(f"{lost} events were lost", err=True)


class Tally:
    """Counts what came out; a camera may run for weeks, so it remembers recent frames only."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._frames = self._dropped = 0
        self._recent: deque[float] = deque(maxlen=30)
        self._latencies: deque[float] = deque(maxlen=10_000)

    def add(self, result: Result) -> None:
        """Count an answer."""
        self._frames += 1
        self._dropped += frame_of(result).dropped
        self._recent.append(time.perf_counter())
        self._latencies.append(result.timing.total_ms)

    @property
    def fps(self) -> float | None:
        """Results a second over the last ones; None before the second."""
        if len(self._recent) < 2:
            return None
        return (len(self._recent) - 1) / (self._recent[-1] - self._recent[0])

    def summary(self) -> str:
        """Say it in a line."""
        seconds = time.perf_counter() - self._start
        counted = f"{self._frames} frames, {self._dropped} dropped, {seconds:.1f} s"
        if not self._frames:
            return counted
        latency = statistics.median(self._latencies)
        return f"{counted}, {self._frames / seconds:.1f} fps, p50 latency {latency:.2f} ms"
