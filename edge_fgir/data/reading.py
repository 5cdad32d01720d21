"""What a reader says beside the pictures: what it did unasked, and what it left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from edge_fgir._errors import InputError

MOST_SKIPPED = 0.5
"""Share of the pictures that may be left out; beyond it something else is wrong."""

_SHOWN = 5


@dataclass(frozen=True)
class Skipped:
    """A picture that was left out.

    Attributes:
        file: Its file, or the line of the list that names it.
        reason: What is wrong with it and what to do, in one line.
        kind: ``path``: a list names what is not there or has no business there; ``unreadable``: it
            cannot be decoded.
    """

    file: str
    reason: str
    kind: Literal["path", "unreadable"] = "unreadable"


@dataclass(frozen=True)
class Reading:
    """How a data set was read.

    Attributes:
        notes: What the reader settled by itself, a line each.
        skipped: The pictures that it left out.
    """

    notes: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.notes or self.skipped)

    def noting(self, *notes: str) -> Reading:
        """Return it with more notes, each once."""
        return replace(self, notes=tuple(dict.fromkeys((*self.notes, *notes))))

    def skipping(self, skipped: Iterable[Skipped]) -> Reading:
        """Return it with more pictures left out."""
        return replace(self, skipped=(*self.skipped, *skipped))

    def lines(self, name: str) -> list[str]:
        """Return what to tell the user of the data set ``name``: all notes, the first skipped."""
        lines = [f"{name}: {note}" for note in self.notes]
        if self.skipped:
            count = len(self.skipped)
            lines.append(f"{name}: {count} picture{'s' * (count > 1)} left out (--strict refuses):")
            lines += [f"  {skipped.reason}" for skipped in self.skipped[:_SHOWN]]
            if count > _SHOWN:
                lines.append(f"  and {count - _SHOWN} more; data check --json lists them all")
        return lines


def refuse(skipped: Sequence[Skipped], pictures: int, *, strict: bool) -> None:
    """Refuse a data set whose pictures may not be left out.

    Args:
        skipped: What was left out.
        pictures: How many there were.
        strict: None may be.

    Raises:
        InputError: There are some and ``strict`` is on, or they are more than half of all.
    """
    if not skipped or (not strict and len(skipped) <= MOST_SKIPPED * pictures):
        return
    if len(skipped) == 1:
        raise InputError(skipped[0].reason)
    raise InputError(f"{len(skipped)} of {pictures} pictures cannot be used, {skipped[0].reason}")
