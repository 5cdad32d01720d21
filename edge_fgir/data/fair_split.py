"""Splitting pictures that nobody has split: by class, look-alikes and visits on one side, and as
before when pictures are added.

Each picture has a place on a line from 0 to 1, drawn from its name. Of every class the lowest go to
test, the next ones to val, and the rest to train. A new picture therefore moves no others but a few
at the borders, and the same folder is split alike on every machine.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edge_fgir.data.frigate_names import frigate_visits
from edge_fgir.data.likeness import groups_alike
from edge_fgir.runtime import Hashes

VAL_SHARE = TEST_SHARE = 0.15
"""Of each class."""

_DISTANCES = (8, 4, 2, 0)
_ENOUGH_FOR_TEST = 4


class FairSplit(NamedTuple):
    """Positions of each split, sorted.

    Attributes:
        train: Positions.
        val: Positions.
        test: Positions.
        together: Pictures that look like an earlier one or are of its visit, and on the same side.
        too_alike: Classes whose pictures look so much alike that only closer likeness counts.
        too_few_visits: Classes with so few visits that likeness alone counts.
    """

    train: list[int]
    val: list[int]
    test: list[int]
    together: int
    too_alike: tuple[int, ...]
    too_few_visits: tuple[int, ...]


def fair_split(names: Sequence[str], labels: Sequence[int], hashes: Hashes) -> FairSplit:
    """Split pictures by class, seeded by their names, with those that look alike on one side.

    So are those of one visit, where the names tell (:mod:`~edge_fgir.data.frigate_names`).

    A class of one picture is in train alone, one of two or three in train and val; from four on it
    is in all three. Pictures of two classes that look the same stay in train.

    Args:
        names: Of each picture, relative to the folder; all different.
        labels: Its class.
        hashes: (N, 16) :func:`~edge_fgir.runtime.look_hash` of each.
    """
    classes = np.asarray(labels)
    places = np.array([_place(name) for name in names])
    visits = frigate_visits(names, labels)
    shared = _shared_by_classes(hashes, classes)
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    together = 0
    too_alike: list[int] = []
    too_few_visits: list[int] = []
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        free = members[~shared[members]]
        parts[0].extend(members[shared[members]].tolist())
        wanted = _wanted(len(members))
        tells = len(np.unique(visits[free])) < len(free)
        for by_visit, distance in product((True, False) if tells else (False,), _DISTANCES):
            groups = groups_alike(hashes[free], distance)
            if by_visit:
                groups = _joined(groups, visits[free])
            split = _dealt(free, groups, places, wanted, all_here=len(free) == len(members))
            short = any(
                2 * len(part) < count for part, count in zip(split[1:], wanted, strict=True)
            )
            if not short:
                break
        if tells and not by_visit:
            too_few_visits.append(int(label))
        if distance != _DISTANCES[0]:
            too_alike.append(int(label))
        together += len(free) - len(np.unique(groups))
        for part, more in zip(parts, split, strict=True):
            part.extend(more)
    train, val, test = (sorted(part) for part in parts)
    return FairSplit(
        train,
        val,
        test,
        together + int(shared.sum()),
        tuple(too_alike),
        tuple(too_few_visits),
    )


def _place(name: str) -> float:
    """Return a number from 0 to 1 that depends on a name alone, however its letters are stored."""
    text = unicodedata.normalize("NFC", name).encode(errors="surrogateescape")
    return int.from_bytes(hashlib.sha256(text).digest()[:6], "big") / 2**48


def _wanted(count: int) -> tuple[int, int]:
    """Return how many of ``count`` pictures go to val and to test."""
    val = max(1, round(VAL_SHARE * count)) if count > 1 else 0
    test = max(1, round(TEST_SHARE * count)) if count >= _ENOUGH_FOR_TEST else 0
    return val, test


def _joined(one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return groups of members that either grouping, or a chain through both, takes together."""
    found = np.arange(len(one))
    while True:
        before = found
        for groups in (one, other):
            lowest = np.full(groups.max(initial=0) + 1, len(one))
            np.minimum.at(lowest, groups, found)
            found = lowest[groups]
        if np.array_equal(before, found):
            return found


def _shared_by_classes(hashes: Hashes, classes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Say which pictures are the same as one of another class."""
    _, same = np.unique(hashes, axis=0, return_inverse=True)
    same = same.ravel()
    highest = np.full(same.max(initial=0) + 1, -1)
    lowest = np.full(same.max(initial=0) + 1, np.iinfo(np.int64).max)
    np.maximum.at(highest, same, classes)
    np.minimum.at(lowest, same, classes)
    return np.asarray((highest != lowest)[same])


def _dealt(
    members: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64],
    places: npt.NDArray[np.float64],
    wanted: tuple[int, int],
    *,
    all_here: bool,
) -> tuple[list[int], list[int], list[int]]:
    """Deal the groups of one class to train, val and test; a group too large for one is passed on.

    Args:
        members: Its pictures.
        groups: The group of each.
        places: Of every picture of the set.
        wanted: Pictures for val and test.
        all_here: No other picture of the class is in train already.
    """
    train: list[int] = []
    val: list[int] = []
    test: list[int] = []
    left = len(members)
    for group in _in_order(members, groups, places):
        last = all_here and not train and left == len(group)
        left -= len(group)
        for part, count in ((test, wanted[1]), (val, wanted[0])):
            if not last and len(part) + len(group) <= count:
                part.extend(group)
                break
        else:
            train.extend(group)
    return train, val, test


def _in_order(
    members: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64],
    places: npt.NDArray[np.float64],
) -> Iterator[list[int]]:
    """Yield the groups' pictures by the lowest place of each group."""
    by_group: dict[int, list[int]] = {}
    for member, group in zip(members.tolist(), groups.tolist(), strict=True):
        by_group.setdefault(group, []).append(member)
    yield from sorted(by_group.values(), key=lambda group: min(places[place] for place in group))
