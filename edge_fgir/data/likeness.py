"""Pictures that look the same: all pairs of near hashes (:func:`edge_fgir.runtime.look_hash`)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from edge_fgir.runtime import Hashes

BYTES = 16
"""Length of a hash."""

_PAIRS = 1 << 20
_ONES = np.array([value.bit_count() for value in range(256)], np.uint8)


def alike(hashes: Hashes, group: npt.NDArray[np.integer], distance: int) -> list[tuple[int, int]]:
    """Find hashes of different groups that differ in at most ``distance`` bits.

    Two hashes that near have the same bits in one of ``distance + 1`` bands at least, so only
    those that share a band are compared: half a million pictures take seconds, not hours.

    Args:
        hashes: (N, 16).
        group: (N,) at least 0; only pairs between groups are looked for.
        distance: 0 to 15.

    Returns:
        Sorted pairs of places, that in the smaller group first. There the first of those with equal
        hashes stands for all of them, so that a thousand black pictures are not a million pairs.
    """
    numbers = group[:, None].astype(np.int64).view(np.uint8)
    rows = np.concatenate([hashes, numbers], axis=1)
    _, kept, same = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    hashes, group = hashes[kept], group[kept]
    members = np.argsort(same.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(same.ravel()))
    found: set[tuple[int, int]] = set()
    for first, second in _near(hashes, distance):
        above = group[first] > group[second]
        low, high = np.where(above, second, first), np.where(above, first, second)
        other = group[low] != group[high]
        found |= set(zip(low[other].tolist(), high[other].tolist(), strict=True))
    return sorted(
        (int(kept[low]), int(member))
        for low, high in found
        for member in members[ends[high - 1] if high else 0 : ends[high]]
    )


def groups_alike(hashes: Hashes, distance: int) -> npt.NDArray[np.int64]:
    """Number pictures so that those within ``distance`` bits of each other share a number.

    Likeness is handed on: of three pictures in a row, the first and the last share it too.

    Args:
        hashes: (N, 16).
        distance: 0 to 15.

    Returns:
        (N,) the same number for pictures that are alike.
    """
    distinct, same = np.unique(hashes, axis=0, return_inverse=True)
    leader = np.arange(len(distinct))
    if distance:
        for first, second in _near(distinct, distance):
            _merge(leader, first, second)
    return leader[same.ravel()]


def _merge(
    leader: npt.NDArray[np.int64], first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]
) -> None:
    """Give both members of each pair, and all that have their leaders, the lowest of the leaders.

    Args:
        leader: (N,) the lowest member of each one's group; changed.
        first: (P,) members.
        second: (P,) their partners.
    """
    while (apart := leader[first] != leader[second]).any():
        first, second = first[apart], second[apart]
        high = np.maximum(leader[first], leader[second])
        np.minimum.at(leader, high, np.minimum(leader[first], leader[second]))
        while (leader != leader[leader]).any():
            leader[:] = leader[leader]


def _near(
    hashes: Hashes, distance: int
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Yield pairs of places whose hashes differ in at most ``distance`` bits, some repeatedly."""
    bits = np.unpackbits(hashes, axis=1)
    for band in np.array_split(np.arange(bits.shape[1]), distance + 1):
        keys = np.packbits(bits[:, band], axis=1).astype(np.uint64)
        key = keys @ (np.uint64(256) ** np.arange(keys.shape[1], dtype=np.uint64))
        for first, second in _neighbours(key):
            near = _ONES[hashes[first] ^ hashes[second]].sum(axis=1) <= distance
            yield first[near], second[near]


def _neighbours(
    key: npt.NDArray[np.uint64],
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Yield all pairs of places with equal keys, about a million at a time."""
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    last = np.searchsorted(ordered, ordered, side="right")
    partners = last - np.arange(len(key)) - 1
    start = 0
    while start < len(key):
        ends = np.cumsum(partners[start:])
        count = max(int(np.searchsorted(ends, _PAIRS, side="right")), 1)
        rows = np.arange(start, start + count)
        own = partners[rows]
        first = np.repeat(rows, own)
        second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(own) - own, own)
        yield order[first], order[second]
        start += count
