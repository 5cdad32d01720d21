"""What every sink is, and what stands behind one that may fail."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from edge_fgir.runtime.decisions import Event

_Self = TypeVar("_Self", bound="Sink")


class Sink(Protocol):
    """Takes events; never raises for what fails at the other end, but counts it.

    Attributes:
        name: For messages.
        lost: Events that nobody will get any more.
        waiting: Events that are not delivered yet.
    """

    name: str
    lost: int
    waiting: int

    def send(self, event: Event) -> None:
        """Take an event; returns at once."""

    def close(self) -> None:
        """Deliver what can be delivered in a moment, and free what is open."""

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Outlet(Protocol):
    """Delivers events one by one, or fails.

    Attributes:
        name: For messages; says no password.
    """

    name: str

    def deliver(self, values: dict[str, Any]) -> None:
        """Deliver an event as JSON has it.

        Raises:
            OSError: Not now; it may be tried again.
            RefusedError: Never.
        """

    def close(self) -> None:
        """Free what is open."""


class RefusedError(Exception):
    """The other end will not take this event, however often it is offered."""
