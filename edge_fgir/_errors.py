"""Errors a user can act on: what was found, what was expected, what to run."""

from __future__ import annotations

from typing import Any


class EdgeFgirError(Exception):
    """Base of all errors this package raises on purpose; its text is one line for the user."""

    exit_code = 1

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), str(self))  # as a worker hands it on


def _again(kind: type[EdgeFgirError], text: str) -> EdgeFgirError:
    return kind.__new__(kind, text)


class InputError(EdgeFgirError):
    """A file, folder, option or recipe cannot be used.

    Args:
        found: What is there, with the name of the file or option.
        expected: What should be there.
        remedy: What to do or run.
    """

    exit_code = 2

    def __init__(self, found: str, expected: str = "", remedy: str = "") -> None:
        parts = [found, f"expected {expected}" if expected else "", remedy]
        super().__init__("; ".join(" ".join(part.split()) for part in parts if part))


class MissingExtraError(InputError):
    """An optional library is not installed."""

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{library} is not installed",
            f"it for {purpose}",
            f'run: pip install "edge-fgir[{extra}]"',
        )


class GateError(EdgeFgirError):
    """A check between two stages failed; nothing was written."""
