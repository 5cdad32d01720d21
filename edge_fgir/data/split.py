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
    kept, aside = stratified(labels, [_VAL_SHARE], SEED)
    if not aside:
        kept, aside = stratified(labels, [_VAL_SHARE], SEED, least=1)
    if not aside:
        raise InputError(
            f"{what} has {len(labels)} pictures, too few to set a validation share aside",
            f"at least 2 a class, or {instead}",
        )
    return kept, aside


def stratified(
    labels: Sequence[int], fractions: Sequence[float], seed: int, *, least: int = 0
) -> list[list[int]]:
    """Split positions 0..n-1 so that each class is shared out by ``fractions``.

    Args:
        labels: Class of each position.
        fractions: Shares of all parts but the first, which takes the rest. A part gets
            ``round(share * n)`` of a class with n members, and the first keeps at least one.
        seed: The same seed gives the same split on every machine.
        least: Pictures of a class in each part, as long as there are enough.

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
            part += members[:count]
            members = members[count:]
        parts[0] += members
    return [sorted(part) for part in parts]


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
