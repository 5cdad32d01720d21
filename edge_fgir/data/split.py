"""Splitting by class: seeded, and in the order of a file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_fgir._errors import InputError

SEED = 0
"""Of every split that is drawn."""

_VAL_SHARE = 0.1


def set_val_aside(labels: Sequence[int], what: str, instead: str) -> tuple[list[int], list[int]]:
    """Split a train list without a validation list: 10 % of each class is set aside, seeded.

    Where that rounds to none at all, as of three pictures a class, it is one picture of each class
    that has two or more.

    Args:
        labels: Class of each training picture.
        what: What holds them, for the error.
        instead: What would make this unnecessary.

    Returns:
        Sorted positions that stay in train, and of val.

    Raises:
        InputError: There are too few to set any aside.
    """
    kept, aside = val_share(labels)
    if not aside:
        raise InputError(
            f"{what} has {len(labels)} pictures, too few to set a validation share aside",
            f"at least 2 a class, or {instead}",
        )
    return kept, aside


def val_share(
    labels: Sequence[int], groups: Sequence[int] | None = None
) -> tuple[list[int], list[int]]:
    """Return what :func:`set_val_aside` does, with ``groups`` of :func:`stratified`."""
    kept, aside = stratified(labels, [_VAL_SHARE], SEED, groups=groups)
    if not aside:
        kept, aside = stratified(labels, [_VAL_SHARE], SEED, least=1, groups=groups)
    return kept, aside


def stratified(
    labels: Sequence[int],
    fractions: Sequence[float],
    seed: int,
    *,
    least: int = 0,
    groups: Sequence[int] | None = None,
) -> list[list[int]]:
    """Split positions 0..n-1 so that each class is shared out by ``fractions``.

    Args:
        labels: Class of each position.
        fractions: Shares of all parts but the first, which takes the rest. A part gets
            ``round(share * n)`` of a class with n members, and the first keeps at least one.
        seed: The same seed gives the same split on every machine.
        least: Pictures of a class in each part, as long as there are enough.
        groups: Positions of a class that share a number go to one part; None: each is alone.

    Returns:
        ``len(fractions) + 1`` sorted lists of positions.
    """
    random = np.random.default_rng(seed)
    parts: list[list[int]] = [[] for _ in range(len(fractions) + 1)]
    array = np.asarray(labels)
    for label in np.unique(array):
        members = random.permutation(np.flatnonzero(array == label)).tolist()
        for part, share in zip(parts[1:], fractions, strict=True):
            wanted = max(round(share * int((array == label).sum())), least)
            count = min(wanted, len(members) - 1)
            taken = members[:count] if groups is None else _whole_groups(members, groups, count)
            part += taken
            gone = set(taken)
            members = [member for member in members if member not in gone]
        parts[0] += members
    return [sorted(part) for part in parts]


def _whole_groups(members: Sequence[int], groups: Sequence[int], count: int) -> list[int]:
    """Return about ``count`` members: the first groups that fit, or else the smallest.

    One group is always left.
    """
    of_group: dict[int, list[int]] = {}
    for member in members:
        of_group.setdefault(groups[member], []).append(member)
    taken: list[int] = []
    for group in of_group.values():
        if len(taken) + len(group) <= count:
            taken += group
    smallest = min(of_group.values(), key=len)
    return smallest if count and not taken and len(of_group) > 1 else taken


_TRAIN, _VAL = 0.7, 0.1


def in_file_order(labels: Sequence[int]) -> list[list[int]]:
    """Split positions 0..n-1 as DAF:re was: by class, unshuffled, 70, 10 and 20 % of it.

    The counts are those of the authors' floating-point arithmetic
    (arXiv 2101.08674, docs/science/dafre.md#splits): of 20 pictures
    14, 1 and 5, for 0.7 + 0.1 is a little less than 0.8.

    Returns:
        Sorted positions of train, val and test.
    """
    parts: list[list[int]] = [[], [], []]
    array = np.asarray(labels)
    order = np.argsort(array, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(array[order])) + 1):
        count = len(members)
        ends = [int(count * _TRAIN), int(count * (_TRAIN + _VAL))]
        for part, piece in zip(parts, np.split(members, ends), strict=True):
            part += piece.tolist()
    return [sorted(part) for part in parts]
