"""Threads that prepare pictures while the model works on others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

from edge_fgir.runtime.cores import usable_cores
from edge_fgir.runtime.forks import tell_forked
from edge_fgir.runtime.shared_engine import closed

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Workers:
    """As many threads as there are cores, and one more; started when they are first needed."""

    def __init__(self) -> None:
        # One waits for the model while the others prepare.
        self._count = usable_cores() + 1
        self._lock = Lock()
        self._executor: ThreadPoolExecutor | None = None
        self._closed = False
        tell_forked(self)

    def submit(self, call: Callable[[], Answer]) -> Future[Answer]:
        """Let a thread make a call.

        Raises:
            EdgeFgirError: They are closed.
        """
        with self._lock:
            if self._closed:
                raise closed()
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._count, "edge-fgir")
            return self._executor.submit(call)

    def in_order(
        self, call: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Generator[Answer, None, None]:
        """Yield a call's answers to items in their order, some calls ahead of who takes them.

        What a call raises is raised in its place. Items that are begun when the generator is closed
        are finished, further ones are not begun.
        """
        ahead: deque[Future[Answer]] = deque()
        try:
            for item in items:
                ahead.append(self.submit(lambda item=item: call(item)))  # type: ignore[misc]
                if len(ahead) > self._count:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()

    def close(self) -> None:
        """Wait for the calls that were submitted; further ones are refused."""
        with self._lock:
            self._closed = True
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown()

    def forked(self) -> None:
        """Forget the parent's threads, in the child."""
        self._lock, self._executor = Lock(), None
