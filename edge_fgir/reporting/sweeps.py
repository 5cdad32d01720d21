"""Sweeps: settings side by side on one data set, and which of them no other beats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from edge_fgir._dotted import dotted
from edge_fgir.results import Sweep, SweepGroup


@dataclass(frozen=True)
class SweepRow:
    """One setting in a sweep's table.

    Attributes:
        number: Its position in the file, from 1.
        name: Values of its changes: enough to tell it from the others.
        group: Its figures.
    """

    number: int
    name: str
    group: SweepGroup

    @property
    def changes(self) -> str:
        """Its changes as ``key=value, key=value``."""
        return ", ".join(f"{key}={_text(value)}" for key, value in self.group.changes.items())


@dataclass(frozen=True)
class SweepTable:
    """What a sweep found on one data set."""

    result: Sweep
    data: str
    rows: tuple[SweepRow, ...]

    @property
    def best(self) -> SweepRow | None:
        """The most accurate setting."""
        known = [row for row in self.rows if row.group.top1 is not None]
        return max(known, key=lambda row: row.group.top1 or 0.0, default=None)

    @property
    def seeds(self) -> int:
        """Most seeds that a setting finished with."""
        return max((row.group.n for row in self.rows), default=0)

    @property
    def unmeasured(self) -> dict[str, tuple[int, ...]]:
        """Numbers of the settings without milliseconds, by reason."""
        numbers: dict[str, tuple[int, ...]] = {}
        for row in self.rows:
            if row.group.ms_note:
                numbers[row.group.ms_note] = (*numbers.get(row.group.ms_note, ()), row.number)
        return numbers


def make_sweep_tables(sweeps: Iterable[Sweep]) -> tuple[SweepTable, ...]:
    """Return each sweep's settings, data set by data set."""
    return tuple(_table(sweep, data.name) for sweep in sweeps for data in sweep.data)


def _table(sweep: Sweep, data: str) -> SweepTable:
    groups = [group for group in sweep.groups if group.data == data]
    rows = [
        SweepRow(number, _name(group, groups) or sweep.recipe, group)
        for number, group in enumerate(groups, 1)
    ]
    return SweepTable(sweep, data, tuple(rows))


def _name(group: SweepGroup, groups: Sequence[SweepGroup]) -> str:
    """Return the values in which a group's changes differ from others; a switch by its key."""
    all_changes = [dict(dotted(each.changes)) for each in groups]
    keys = dict.fromkeys(key for changes in all_changes for key in changes)
    differing = [
        key for key in keys if len({_text(changes.get(key)) for changes in all_changes}) > 1
    ]
    changes = dict(dotted(group.changes))
    words = [
        key.rpartition(".")[2] if changes[key] is True else _text(changes[key])
        for key in differing
        if key in changes and changes[key] is not False
    ]
    return ", ".join(words)


def _text(value: JsonValue) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    return "none" if value is None else str(value)


def front(points: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Return the indices of the points (cost, gain) that no other beats, cheapest first.

    A point is beaten by one that costs no more and gains no less, and differs in either.
    """
    best = float("-inf")
    indices: list[int] = []
    for index in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        same = indices and points[indices[-1]] == points[index]
        if points[index][1] > best or same:
            best = points[index][1]
            indices.append(index)
    return tuple(indices)
