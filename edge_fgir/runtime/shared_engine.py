"""One engine and the threads that share it: how it is closed, and what a forked process does."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition
from typing import TYPE_CHECKING

from edge_fgir._errors import EdgeFgirError
from edge_fgir.runtime.forks import tell_forked

if TYPE_CHECKING:
    from edge_fgir.runtime.runtimes import Engine


def closed() -> EdgeFgirError:
    """Return the error for what is asked of a closed Classifier."""
    return EdgeFgirError("this Classifier is closed: open the bundle again")


class SharedEngine:
    """An engine that any thread may call, until it is closed.

    A forked process has its parent's memory, but of its threads only the one that called ``fork``:
    an engine that waits for the others waits for ever. So there the engine is opened anew when it
    is first used, and the parent's is left alone.

    Args:
        engine: It.
        reopen: Opens it again in a forked process; None: it is not to be had there.
    """

    def __init__(self, engine: Engine, reopen: Callable[[], Engine] | None) -> None:
        self._engine: Engine | None = engine
        self._reopen = reopen
        self._changed = Condition()
        self._calls = 0
        self._closed = False
        self.description = engine.description
        tell_forked(self)

    @contextmanager
    def in_use(self) -> Iterator[Engine]:
        """Yield the engine, which is not closed while the block runs.

        Raises:
            EdgeFgirError: It is closed, or belongs to the process that this one was forked from.
        """
        with self._changed:
            if self._closed:
                raise closed()
            engine = self._engine or self._opened_again()
            self._calls += 1
        try:
            yield engine
        finally:
            with self._changed:
                self._calls -= 1
                self._changed.notify_all()

    def _opened_again(self) -> Engine:
        if self._reopen is None:
            raise EdgeFgirError(
                "this Classifier was opened before the process was forked: open the bundle in the "
                "child process"
            )
        self._engine = self._reopen()
        return self._engine

    def close(self) -> None:
        """Free the engine when the calls under way have ended; calls from now on raise."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._calls)
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def forked(self) -> None:
        """Forget the parent's engine and threads, in the child."""
        if self._engine is not None:
            # It must outlive the child, whose exit would otherwise wait for the parent's threads.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._engine))
        self._engine, self._calls, self._changed = None, 0, Condition()
