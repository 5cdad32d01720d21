"""A thread that looks at sensors while something is measured, and says if it stopped looking."""

from __future__ import annotations

import threading
from collections.abc import Callable

PERIOD_S = 0.5
"""Between two looks, seconds."""

# A sensor may hang in its driver: the end of a run does not wait longer for it.
_END_S = 5.0


class Watcher:
    """Calls ``sample`` when the block begins, every half second, and when it ends.

    An exception ends the watching, not the block: ``died`` then says why. It also says so where
    the thread did not come to its end, so only an empty ``died`` means that the last look was made
    after the block.

    Args:
        sample: What is called; not by two threads at once.
    """

    def __init__(self, sample: Callable[[], None]) -> None:
        self._sample = sample
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="edge-fgir-watcher", daemon=True)
        self._error = ""
        self._ended = False

    @property
    def died(self) -> str:
        """Why the watching ended before the block did; '' where it did not."""
        return self._error or ("" if self._ended else "it did not come to its end")

    def __enter__(self) -> Watcher:
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(_END_S)

    def _watch(self) -> None:
        last = False
        while not last and not self._error:
            last = self._stop.wait(PERIOD_S)
            self._look()
        self._ended = True

    def _look(self) -> None:
        try:
            self._sample()
        except Exception as error:
            self._error = str(error) or type(error).__name__
