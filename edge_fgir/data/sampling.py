"""Which pictures an epoch draws: as they are, or so that rare classes are seen more often.

Source: arXiv 1910.09217, section 3 (decoupling); docs/science/dafre.md#tools-for-the-tail.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Sampler = Literal["instance", "class_balanced", "square_root"]

_POWERS: dict[Sampler, float] = {"instance": 1.0, "class_balanced": 0.0, "square_root": 0.5}


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
