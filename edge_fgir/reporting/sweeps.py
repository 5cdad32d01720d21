"""Sweeps: settings side by side on one data set, and which of them no other beats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from edge_fgir._dotted import dotted
from edge_fgir.reporting.documents import Sweep, SweepGroup


@dataclass(frozen=True)
class Setting:
    """One row of a sweep's table.

    Attributes:
        number: Its place in the file, from 1.
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
class Trial:
    """What a sweep found on one data set."""

    sweep: Sweep
    data: str
    settings: tuple[Setting, ...]

    @property
    def best(self) -> Setting | None:
        """The most accurate setting."""
        known = [one for one in self.settings if one.group.top1 is not None]
        return max(known, key=lambda one: one.group.top1 or 0.0, default=None)

    @property
    def seeds(self) -> int:
        """Most seeds that a setting finished with."""
        return max((one.group.n for one in self.settings), default=0)

    @property
    def unmeasured(self) -> dict[str, tuple[int, ...]]:
        """Numbers of the settings without milliseconds, by reason."""
        found: dict[str, tuple[int, ...]] = {}
        for one in self.settings:
            if one.group.ms_note:
                found[one.group.ms_note] = (*found.get(one.group.ms_note, ()), one.number)
        return found


def make_trials(sweeps: Iterable[Sweep]) -> tuple[Trial, ...]:
    """Return each sweep's settings, data set by data set."""
    return tuple(_trial(sweep, data.name) for sweep in sweeps for data in sweep.data)


def _trial(sweep: Sweep, data: str) -> Trial:
    groups = [group for group in sweep.groups if group.data == data]
    settings = [
        Setting(number, _name(group, groups) or sweep.recipe, group)
        for number, group in enumerate(groups, 1)
    ]
    return Trial(sweep, data, tuple(settings))


def _name(group: SweepGroup, groups: Sequence[SweepGroup]) -> str:
    """Return the values in which a group's changes differ from others; a switch by its key."""
    flat = [dict(dotted(one.changes)) for one in groups]
    keys = dict.fromkeys(key for one in flat for key in one)
    telling = [key for key in keys if len({_text(one.get(key)) for one in flat}) > 1]
    own = dict(dotted(group.changes))
    words = [
        key.rpartition(".")[2] if own[key] is True else _text(own[key])
        for key in telling
        if key in own and own[key] is not False
    ]
    return ", ".join(words)


def _text(value: JsonValue) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_text(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    return "none" if value is None else str(value)


def front(points: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Return the places of the points (cost, gain) that no other beats, cheapest first.

    A point is beaten by one that costs no more and gains no less, and differs in either.
    """
    best = float("-inf")
    places: list[int] = []
    for place in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        same = places and points[places[-1]] == points[place]
        if points[place][1] > best or same:
            best = points[place][1]
            places.append(place)
    return tuple(places)
