"""How a command that goes on until it is stopped ends."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class _Insisted(KeyboardInterrupt):
    """Asked a second time: what was begun is left as it is."""


class Stop:
    """Ctrl-C, a service manager's SIGTERM and a closed pipe as the ordinary end of a block.

    Example::

        with Stop.quietly() as stop:
            for result in results:
                with stop.after():
                    tell(result)
    """

    def __init__(self) -> None:
        self._busy = self._asked = False

    @classmethod
    @contextmanager
    def quietly(cls) -> Iterator[Stop]:
        """End the block without an error where it is stopped; the second signal is one."""
        stop = cls()
        before = {signal.SIGTERM: signal.signal(signal.SIGTERM, stop._hear)}
        # A shell starts its background jobs deaf to Ctrl-C, which is then meant for another.
        if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
            before[signal.SIGINT] = signal.signal(signal.SIGINT, stop._hear)
        try:
            yield stop
        except _Insisted:
            raise
        except KeyboardInterrupt:
            pass
        except BrokenPipeError:
            # Python flushes stdout once more at exit: into nothing, not into another error.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def after(self) -> Iterator[None]:
        """Let a signal wait for the end of this block, whose lines belong together."""
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
        if self._asked:
            raise KeyboardInterrupt

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise _Insisted
        self._asked = True
        if not self._busy:
            raise KeyboardInterrupt
