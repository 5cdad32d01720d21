"""What a camera app did so far, in Prometheus' text format.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import logging
import threading
import time
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge_fgir._files import write_atomic
from edge_fgir.runtime.decisions import Event
from edge_fgir.runtime.result import Result

if TYPE_CHECKING:
    from edge_fgir.runtime.sinks.sink import Sink
    from edge_fgir.runtime.sources import Source

_LOG = logging.getLogger("edge_fgir.sinks")

_BOUNDS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_EVERY_S = 10.0


class Counters:
    """Counts frames, their latency and age, events, and what was lost.

    In a ``with`` block the file is written by a thread, whether frames come or not, and once more
    at the end; else by who calls ``write``.

    Args:
        file: Written every ten seconds, whole or not at all, for node_exporter's textfile
            collector; none: it is not.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="edge-fgir-counters", daemon=True)
        self._source: Source | None = None
        self._sinks: Sequence[Sink] = ()
        self._written = time.monotonic()
        self._start = time.time()
        self._frames = self._dropped = self._unknown = 0
        self._buckets = [0] * (len(_BOUNDS_S) + 1)
        self._latency_s = self._age_s = 0.0
        self._events: dict[str, int] = {}
        self._variants: dict[int, int] = {}
        self.outages = 0
        """How often the source was lost."""
        self.lost = 0
        """Events that no sink will deliver any more."""
        self.waiting = 0
        """Events that wait for a sink."""

    def __enter__(self) -> Counters:
        if self._file is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self.write(now=True)

    def _renew(self) -> None:
        while not self._ended.wait(_EVERY_S):
            self.write(now=True)

    def follow(self, source: Source, sinks: Sequence[Sink]) -> None:
        """Ask a source and sinks for outages and events whenever the figures are told."""
        self._source, self._sinks = source, sinks

    def count(self, result: Result) -> None:
        """Count an answer."""
        latency = result.timing.total_ms / 1e3
        with self._lock:
            self._frames += 1
            self._unknown += result.is_unknown
            self._buckets[bisect_left(_BOUNDS_S, latency)] += 1
            self._latency_s += latency
            if result.variant is not None:
                self._variants[result.variant] = self._variants.get(result.variant, 0) + 1
            if result.frame is not None:
                self._dropped += result.frame.dropped
                self._age_s = result.frame.age_s

    def count_event(self, event: Event) -> None:
        """Count an event."""
        with self._lock:
            self._events[event.state] = self._events.get(event.state, 0) + 1

    def write(self, *, now: bool = False) -> None:
        """Write the file if it is time, or ``now``."""
        if self._file is None or (not now and time.monotonic() - self._written < _EVERY_S):
            return
        self._written = time.monotonic()
        try:
            write_atomic(self._file, self.text())
        except OSError as error:  # a full disk ends no camera
            _LOG.warning("%s is not written: %s", self._file, error)

    def text(self) -> str:
        """Return all figures."""
        if self._source is not None:
            self.outages = self._source.outages
            self.lost = sum(sink.lost for sink in self._sinks)
            self.waiting = sum(sink.waiting for sink in self._sinks)
        with self._lock:
            return "\n".join(self._lines()) + "\n"

    def _lines(self) -> list[str]:
        lines = [
            *_figure("start_time_seconds", "gauge", "When it began, since 1970.", self._start),
            *_figure("frames_total", "counter", "Frames answered.", self._frames),
            *_figure(
                "frames_dropped_total", "counter", "Frames nobody had time for.", self._dropped
            ),
            *_figure("frames_unknown_total", "counter", "Frames answered unknown.", self._unknown),
            *_figure(
                "frame_age_seconds", "gauge", "Age of the last frame when answered.", self._age_s
            ),
            *_figure(
                "source_outages_total", "counter", "How often the source was lost.", self.outages
            ),
            *_figure("events_lost_total", "counter", "Events no sink will deliver.", self.lost),
            *_figure("events_waiting", "gauge", "Events that wait for a sink.", self.waiting),
        ]
        lines += _head("events_total", "counter", "Decisions, by state.")
        lines += [
            f'edge_fgir_events_total{{state="{state}"}} {count}'
            for state, count in sorted(self._events.items())
        ]
        if self._variants:
            lines += _head("variant_frames_total", "counter", "Frames by the bundle that answered.")
        lines += [
            f'edge_fgir_variant_frames_total{{variant="{variant}"}} {count}'
            for variant, count in sorted(self._variants.items())
        ]
        lines += _head("latency_seconds", "histogram", "From the decoded frame to the answer.")
        below = 0
        for bound, count in zip((*map(str, _BOUNDS_S), "+Inf"), self._buckets, strict=True):
            below += count
            lines.append(f'edge_fgir_latency_seconds_bucket{{le="{bound}"}} {below}')
        lines.append(f"edge_fgir_latency_seconds_sum {self._latency_s:.6f}")
        lines.append(f"edge_fgir_latency_seconds_count {below}")
        return lines


def _head(name: str, kind: str, meaning: str) -> list[str]:
    return [f"# HELP edge_fgir_{name} {meaning}", f"# TYPE edge_fgir_{name} {kind}"]


def _figure(name: str, kind: str, meaning: str, value: float) -> list[str]:
    return [*_head(name, kind, meaning), f"edge_fgir_{name} {value}"]
