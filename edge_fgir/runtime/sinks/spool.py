"""A bounded queue in front of an outlet: what is down now gets its events later."""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from edge_fgir._addresses import without_secrets
from edge_fgir._errors import InputError
from edge_fgir._files import write_atomic
from edge_fgir.runtime.decisions import Event
from edge_fgir.runtime.sinks.sink import Outlet, RefusedError, Sink

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
    """

    def __init__(self, outlet: Outlet, file: Path | None = None, limit: int = LIMIT) -> None:
        self.name = outlet.name
        self.lost = 0
        self._outlet, self._file = outlet, file
        self._waiting: deque[dict[str, Any]] = deque(_kept(file))
        self._limit = limit
        self._changed = threading.Condition()
        self._closing = False
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
            values = event.to_dict()
            self._waiting.append(values)
            if self._is_down:
                self._keep([values], "a")
            while len(self._waiting) > self._limit:
                self._waiting.popleft()
                self._lose(1, f"more than {self._limit} events wait")
            self._changed.notify()

    def _run(self) -> None:
        retry_s = _FIRST_RETRY_S
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                values = self._waiting[0]
            try:
                self._outlet.deliver(values)
            except RefusedError as error:
                self._lose(1, without_secrets(str(error)))
            except OSError as error:
                self._went_down(error)
                with self._changed:
                    if self._closing or self._changed.wait_for(lambda: self._closing, retry_s):
                        return
                retry_s = min(2 * retry_s, _RETRY_S)
                continue
            retry_s = _FIRST_RETRY_S
            self._came_back()
            with self._changed:
                # It may have been the oldest of too many meanwhile.
                if self._waiting and self._waiting[0] is values:
                    self._waiting.popleft()
                if not self._waiting:
                    self._keep([])

    def _went_down(self, error: OSError) -> None:
        if self._is_down:
            return
        reason = without_secrets(str(error))  # a server's answer may repeat what it was sent
        _LOG.warning("%s is down (%s); events wait", self.name, reason)
        with self._changed:
            self._is_down = True
            self._keep(self._waiting)

    def _came_back(self) -> None:
        if self._is_down:
            _LOG.warning("%s is back; %d events wait", self.name, self.waiting)
        self._is_down = False

    def _lose(self, count: int, reason: str) -> None:
        if not self.lost or self.lost % 1000 == 0:
            _LOG.error("%s lost an event: %s", self.name, reason)
        self.lost += count

    def close(self) -> None:
        """Try once more to deliver what waits; keep the rest in the file, or count it as lost."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(_LAST_TRY_S)
        with self._changed:
            self._keep(self._waiting)
            if self._waiting and self._file is None:
                self._lose(len(self._waiting), "the app ended while events waited")
        self._outlet.close()

    def _keep(self, events: Iterable[dict[str, Any]], mode: Literal["w", "a"] = "w") -> None:
        """Write events into the file, or behind those in it; no events need no file."""
        if self._file is None:
            return
        text = "".join(json.dumps(values, ensure_ascii=False) + "\n" for values in events)
        try:
            if not text:
                self._file.unlink(missing_ok=True)
            elif mode == "w":
                write_atomic(self._file, text)
            else:
                with self._file.open("a", encoding="utf-8") as file:
                    file.write(text)
        except OSError as error:
            _LOG.warning("%s: events wait in memory alone: %s", self.name, error)


def _kept(file: Path | None) -> list[dict[str, Any]]:
    if file is None or not file.exists():
        return []
    try:
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    except ValueError as error:
        raise InputError(
            f"{file}: {error}", "events that waited, a JSON line each", "move the file away"
        ) from error
