"""A square picture sampled at fewer points by a cubic kernel, without antialias.

The second step of the paper's own preprocessing (arXiv 2507.12157,
docs/science/tgda.md#pictures). Every number is an integer, so each machine gets the same
(docs/preprocessing.md#two-steps).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edge_fgir.runtime.block_means import Pixels

Integers = npt.NDArray[np.int32]

_BITS = 11
"""Of a weight's fraction: two weights and a byte, summed over 4 x 4 points, fit 32 bits."""

_TAPS = 4


class _Taps(NamedTuple):
    """For each point, the four places that it is made of and their weights: (size, 4) each."""

    places: npt.NDArray[np.intp]
    weights: Integers


def cubic_samples(pixels: Pixels, size: int) -> Pixels:
    """Return (S, S, 3) ``pixels`` sampled at ``size`` x ``size`` points: (size, size, 3)."""
    taps = _taps(len(pixels), size)
    columns = _along(pixels.astype(np.int32), taps)
    sums = _along(columns.transpose(1, 0, 2), taps).transpose(1, 0, 2)
    half = 1 << (2 * _BITS - 1)
    return np.ascontiguousarray(((sums + half) >> (2 * _BITS)).clip(0, 255).astype(np.uint8))


def sample_weights(length: int, size: int) -> npt.NDArray[np.float64]:
    """Return (size, length): what each place along an axis adds to each point."""
    places, weights = _taps(length, size)
    found = np.zeros((size, length))
    np.add.at(found, (np.arange(size)[:, None], places), weights / (1 << _BITS))
    return found


def _along(values: Integers, taps: _Taps) -> Integers:
    """Sample the first axis."""
    places, weights = taps
    summed: Integers = weights[:, 0, None, None] * values[places[:, 0]]
    for tap in range(1, _TAPS):
        summed += weights[:, tap, None, None] * values[places[:, tap]]
    return summed


def _taps(length: int, size: int) -> _Taps:
    """Return what the points are made of; beyond the edge its pixel is repeated."""
    twice = (2 * np.arange(size) + 1) * length - size  # 2 * size * (the point's place)
    first = twice // (2 * size)
    share = (twice % (2 * size)) / (2 * size)
    offsets = np.arange(-1, _TAPS - 1)
    weights = np.floor(_cubic(np.abs(share[:, None] - offsets)) * (1 << _BITS) + 0.5)
    # The weights of a point add up to one, whatever they were rounded to.
    weights[:, 1] += (1 << _BITS) - weights.sum(axis=1)
    places = (first[:, None] + offsets).clip(0, length - 1)
    return _Taps(places, weights.astype(np.int32))


def _cubic(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the cubic convolution kernel with a = -0.75, as OpenCV and torch have it."""
    near = (1.25 * x - 2.25) * x * x + 1
    far = ((-0.75 * x + 3.75) * x - 6) * x + 3
    return np.where(x < 1, near, far)
