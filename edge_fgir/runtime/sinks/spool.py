"""A bounded queue in front of an outlet: what is down now gets its events later."""

from __future__ import annotations

import logging
import threading
from collections import deque
from pathlib import Path
from typing import Any

from edge_fgir._addresses import without_secrets
from edge_fgir.runtime.decisions import Event
from edge_fgir.runtime.sinks.sink import Outlet, RefusedError, Sink
from edge_fgir.runtime.sinks.spool_file import SpoolFile

_LOG = logging.getLogger("edge_fgir.sinks")

LIMIT = 10_000
"""Events that wait at most; of more, the oldest are lost, and counted."""

_FIRST_RETRY_S, _RETRY_S = 0.5, 30.0
_LAST_TRY_S = 2.0


class Spool(Sink):
    """Delivers events in their order, in a thread of its own, each until it is taken.

    At least once: one whose answer was lost is delivered again. While the outlet is down, events
    that wait are kept in ``file`` too, where there is one, and are the first of the next start.

    Args:
        outlet: Where they go.
        file: Keeps them over a restart.
        limit: How many wait at most.

    Raises:
        InputError: The file cannot be read, or another sink or process has it.
    """

    def __init__(self, outlet: Outlet, file: Path | None = None, limit: int = LIMIT) -> None:
        self.name = outlet.name
        self.lost = self._losses = 0
        self._outlet, self._limit = outlet, limit
        self._file = None if file is None else SpoolFile(file)
        self._waiting: deque[dict[str, Any]] = deque()
        if self._file is not None:
            self.lost, self._waiting = self._file.damaged, self._file.kept
            self._lose_too_many()
        self._changed = threading.Condition()
        self._closing = self._closed = False
        self._is_down = False
        self._thread = threading.Thread(target=self._run, name="edge-fgir-sink", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:  # type: ignore[override]
        """How many events wait."""
        return len(self._waiting)

    def send(self, event: Event) -> None:
        """Let an event wait for its turn."""
        with self._changed:
            self._waiting.append(event.to_dict())
            self._lose_too_many()
            if self._is_down:
                self._keep(only_last=True)
            self._changed.notify()

    def _run(self) -> None:
        retry_s = _FIRST_RETRY_S
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting or self._closed:
                    return
                values = self._waiting[0]
                is_last_try = self._closing
            try:
                self._outlet.deliver(values)
            except RefusedError as error:
                self._lose(1, without_secrets(str(error)))
            except OSError as error:
                self._went_down(error)
                if is_last_try:
                    return
                with self._changed:
                    self._changed.wait_for(lambda: self._closing, retry_s)
                retry_s = min(2 * retry_s, _RETRY_S)
                continue
            retry_s = _FIRST_RETRY_S
            self._came_back()
            with self._changed:
                # It may have been the oldest of too many meanwhile.
                if self._waiting and self._waiting[0] is values:
                    self._waiting.popleft()
                if not self._waiting:
                    self._keep()

    def _went_down(self, error: OSError) -> None:
        if self._is_down:
            return
        reason = without_secrets(str(error))  # a server's answer may repeat what it was sent
        _LOG.warning("%s is down (%s); events wait", self.name, reason)
        with self._changed:
            self._is_down = True
            self._keep()

    def _came_back(self) -> None:
        if self._is_down:
            _LOG.warning("%s is back; %d events wait", self.name, self.waiting)
        self._is_down = False

    def _lose_too_many(self) -> None:
        while len(self._waiting) > self._limit:
            self._waiting.popleft()
            self._lose(1, f"more than {self._limit} events wait")

    def _lose(self, count: int, reason: str) -> None:
        if self._losses % 1000 == 0:
            _LOG.error("%s lost an event: %s", self.name, reason)
        self._losses += 1
        self.lost += count

    def close(self) -> None:
        """Try once more to deliver what waits; keep the rest in the file, or count it as lost."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(_LAST_TRY_S)
        with self._changed:
            if not self._closed:
                self._end()
        self._outlet.close()

    def _end(self) -> None:
        """Give up what waits; an outlet that still hangs gets no further event afterwards."""
        self._closed = True
        if self._file is not None:
            self._keep()
            self._file.close()
            self._file = None
        elif self._waiting:
            self._lose(len(self._waiting), "the app ended while events waited")

    def _keep(self, *, only_last: bool = False) -> None:
        """Write what waits into the file, where there is one; ``only_last``: the rest is there."""
        if self._file is None:
            return
        try:
            # The oldest ones, which are lost, stay until there are as many: a memory card would
            # not bear that all are written for each event.
            if only_last and self._file.lines < 2 * self._limit:
                self._file.append(self._waiting[-1])
            else:
                self._file.write(self._waiting)
        except OSError as error:
            _LOG.warning("%s: events wait in memory alone: %s", self.name, error)
