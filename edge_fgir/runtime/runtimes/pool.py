"""What one call needs for itself, such as buffers, where several threads share an engine."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Pool(Generic[Thing]):
    """Things that calls take and give back: as many as were ever in use at once.

    Args:
        make: Makes one. The first is made at once, so that what fails does so at opening.
    """

    def __init__(self, make: Callable[[], Thing]) -> None:
        self._make = make
        # Append and pop are atomic. The last one given back is in the processor's caches.
        self._idle = deque([make()])

    @contextmanager
    def taken(self) -> Iterator[Thing]:
        """Yield one that is nobody else's while the block runs."""
        try:
            thing = self._idle.pop()
        except IndexError:
            thing = self._make()
        try:
            yield thing
        finally:
            self._idle.append(thing)
