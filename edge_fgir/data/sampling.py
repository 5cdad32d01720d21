"""Which pictures an epoch draws: as they are, or so that rare classes are seen more often.

Source: arXiv 1910.09217, section 3 (decoupling); docs/science/dafre.md#tools-for-the-tail.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Sampler = Literal["instance", "pairs", "class_balanced", "square_root"]

_POWERS: dict[Sampler, float] = {
    "instance": 1.0,
    "pairs": 1.0,
    "class_balanced": 0.0,
    "square_root": 0.5,
}


class Draws(NamedTuple):
    """An epoch's draws in order.

    Attributes:
        places: (N,) which picture.
        repeats: (N,) how often the epoch has drawn it before.
    """

    places: npt.NDArray[np.int64]
    repeats: npt.NDArray[np.int64]


def class_shares(counts: npt.NDArray[np.integer], sampler: Sampler) -> npt.NDArray[np.float64]:
    """Return the share of the draws that each class gets, n^q of (K,) counts; empty ones none."""
    weights = np.where(counts > 0, np.power(np.maximum(counts, 1), _POWERS[sampler]), 0.0)
    shares: npt.NDArray[np.float64] = weights / weights.sum()
    return shares


def draw(labels: npt.NDArray[np.integer], sampler: Sampler, seed: int) -> Draws:
    """Draw as many pictures as there are, classes by their shares.

    A class gets its share to one draw, not only on average, and goes through all of its pictures
    before it repeats one: the mean is that of independent draws, without their scatter.

    Args:
        labels: (N,) class of each picture.
        sampler: The shares.
        seed: The draws depend on it alone.
    """
    random = np.random.default_rng(seed)
    count = len(labels)
    if sampler == "pairs":
        return Draws(_in_pairs(labels, random), np.zeros(count, np.int64))
    sizes = np.bincount(labels)
    ends = np.cumsum(class_shares(sizes, sampler)) * count
    ends[-1] = count  # rounding must leave no draw without a class
    drawn = np.searchsorted(ends, random.random() + np.arange(count), side="right")
    drawn = np.minimum(drawn, np.flatnonzero(sizes)[-1])
    shuffled = random.permutation(count)
    shuffled = shuffled[np.argsort(labels[shuffled], kind="stable")]
    number = np.arange(count) - np.searchsorted(drawn, drawn, side="left")
    places = shuffled[(np.cumsum(sizes) - sizes)[drawn] + number % sizes[drawn]]
    order = random.permutation(count)
    return Draws(places[order], (number // sizes[drawn])[order])


def _in_pairs(
    labels: npt.NDArray[np.integer], random: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return every place once, so that the first two are of one class, the next two, and so on.

    What a class has left of an odd number of pictures is paired with what others have left.
    """
    shuffled = random.permutation(len(labels))
    shuffled = shuffled[np.argsort(labels[shuffled], kind="stable")]
    sizes = np.bincount(labels)
    last = np.zeros(len(labels), bool)
    last[np.cumsum(sizes)[sizes % 2 == 1] - 1] = True
    places = np.concatenate((shuffled[~last], random.permutation(shuffled[last])))
    whole = len(places) - len(places) % 2
    pairs = random.permutation(places[:whole].reshape(-1, 2))
    return np.concatenate((pairs.reshape(-1), places[whole:]))
