"""A live source that goes on: a read that hangs is left behind, a lost connection is made again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace

from edge_fgir._errors import EdgeFgirError, InputError
from edge_fgir.runtime.frames import Frame
from edge_fgir.runtime.sources.options import CameraOptions
from edge_fgir.runtime.sources.source import Source

_LOG = logging.getLogger("edge_fgir.sources")

# A server that came back is found within the longer one.
_FIRST_RETRY_S, _RETRY_S = 0.25, 2.0
# Few drivers can be interrupted: who closes does not wait longer for one.
_EXIT_S = 1.0
# Threads of a driver that never answers would pile up over months.
_MOST_HANGING = 4


class Steady(Source):
    """Frames of a source that is opened again whenever it fails.

    Opening and reading happen in a thread of their own. One that gives nothing for ``stall_s`` is
    left to itself, and another one is started; so is one whose source ends with an error, after a
    pause that grows to two seconds. Numbers and timestamps go on. What happened is logged
    (``edge_fgir.sources``), a line when it is lost and one when it is back, and counted.

    Args:
        name: For messages.
        make: Opens the source.
        options: How long to wait, and how long to try.

    Raises:
        InputError: It cannot be opened the first time.
    """

    live = True

    def __init__(self, name: str, make: Callable[[], Source], options: CameraOptions) -> None:
        self._name, self._make, self._options = name, make, options
        self._closed = threading.Event()
        self._start = time.monotonic()
        self._reader = _Reader(make)
        self._hanging: list[_Reader] = []
        # OpenCV's own timeout for a network stream comes first, with its reason.
        opened = self._reader.take(options.stall_s + _EXIT_S)
        if isinstance(opened, _Ended) and opened.error is not None:
            raise opened.error
        if not isinstance(opened, _Opened):
            self._reader.leave()
            raise InputError(
                f"{name} did not open within {options.stall_s:g} s", "a camera that answers"
            )
        self.fps = opened.fps
        self.outages = 0
        """How often it was lost."""

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        lost: float | None = None
        retry_s = _FIRST_RETRY_S
        while not self._closed.is_set():
            message = self._reader.take(self._options.stall_s)
            if isinstance(message, Frame):
                if lost is not None:
                    _LOG.warning("%s is back after %.1f s", self._name, time.monotonic() - lost)
                    lost, retry_s = None, _FIRST_RETRY_S
                yield replace(message, index=index, timestamp=message.arrived - self._start)
                index += 1
            elif isinstance(message, _Ended) and message.error is None:
                return
            elif not isinstance(message, _Opened) and not self._closed.is_set():
                trouble = (
                    str(message.error)
                    if isinstance(message, _Ended)
                    else f"{self._name} gives nothing for {self._options.stall_s:g} s"
                )
                if lost is None:
                    lost = time.monotonic()
                    self.outages += 1
                    _LOG.warning("%s; trying again", trouble)
                self._give_up_in_time(lost, trouble)
                self._closed.wait(retry_s)
                retry_s = min(2 * retry_s, _RETRY_S)
                self._open_again()

    def _open_again(self) -> None:
        self._reader.leave()
        self._hanging = [one for one in {*self._hanging, self._reader} if one.is_alive]
        if len(self._hanging) < _MOST_HANGING and not self._closed.is_set():
            self._reader = _Reader(self._make)

    def _give_up_in_time(self, lost: float, trouble: str) -> None:
        patience = self._options.patience_s
        if patience is not None and time.monotonic() - lost >= patience:
            since = f"; it was tried again for {patience:g} s" if patience else ""
            raise EdgeFgirError(f"{trouble}{since}")

    def close(self) -> None:
        """Free the camera, and end the iteration; one that hangs is left to itself."""
        self._closed.set()
        self._reader.leave(_EXIT_S)


@dataclass(frozen=True)
class _Opened:
    fps: float | None


@dataclass(frozen=True)
class _Ended:
    error: Exception | None


_Message = _Opened | _Ended | Frame


class _Reader:
    """A thread that opens a source, hands over what it gives, one by one, and closes it."""

    def __init__(self, make: Callable[[], Source]) -> None:
        self._make = make
        self._changed = threading.Condition()
        self._message: _Message | None = None
        self._left = False
        self._thread = threading.Thread(target=self._run, name="edge-fgir-camera", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with closing(self._make()) as source:
                self._put(_Opened(source.fps))
                for frame in source:
                    if not self._put(frame):
                        return
        except Exception as error:
            self._put(_Ended(error))
        else:
            self._put(_Ended(None))

    @property
    def is_alive(self) -> bool:
        """Whether its thread still runs, or hangs."""
        return self._thread.is_alive()

    def _put(self, message: _Message) -> bool:
        """Hand a message over; False says that nobody takes any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._message is None or self._left)
            self._message = message
            self._changed.notify_all()
            return not self._left

    def take(self, seconds: float) -> _Message | None:
        """Wait for a message; None where none came in time, or nobody may wait any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._message is not None or self._left, seconds)
            message, self._message = self._message, None
            self._changed.notify_all()
            return message

    def leave(self, seconds: float = 0.0) -> None:
        """End the thread where it listens, and wait for that."""
        with self._changed:
            self._left = True
            self._changed.notify_all()
        if seconds and self._thread is not threading.current_thread():
            self._thread.join(seconds)
