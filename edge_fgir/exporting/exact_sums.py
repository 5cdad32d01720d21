"""Sums of products of bytes that no x86 processor clips.

Where VNNI is missing, x86 multiplies bytes in pairs (``vpmaddubsw``), of two neighbouring input
channels at one place of the kernel, into 16 bits, and clips what does not fit. An activation
reaches 255, so two weights of one sign may be 128 together. A channel's step grows until all its
pairs are: by a fifth on average in EfficientNet-Lite0, where seven bits for all double it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_MOST = 2**15 // 255
"""What two weights of one sign may be together, in steps."""

_Array = npt.NDArray[np.float32]


def unclipped_steps(weight: _Array, steps: _Array, axis: int) -> _Array:
    """Return steps at which no sum of two products is clipped.

    Args:
        weight: In float.
        steps: What 1 of int8 stands for; of the weight's rank, or for all of it alike.
        axis: Of the weight's input channels.
    """
    shape = np.shape(steps) if np.ndim(steps) == weight.ndim else (1,) * weight.ndim
    steps = np.reshape(steps, shape)
    shared = tuple(each for each in range(weight.ndim) if shape[each] == 1)

    def most(scaled: _Array) -> _Array:
        reached: _Array = _pairs(scaled, axis).max(axis=shared, keepdims=True)
        return reached

    wanted = weight / steps
    # Rounding adds at most half a step to each of the two.
    grown = steps * most(wanted) / (_MOST - 1)
    return np.where(most(np.round(wanted)) > _MOST, grown, steps).astype(np.float32)


def _pairs(weight: _Array, axis: int) -> _Array:
    """Return the larger of what the positive and the negative weights of each pair sum to."""
    count = weight.shape[axis]
    even = np.arange(0, count, 2)
    first, second = weight.take(even, axis), weight.take(np.minimum(even + 1, count - 1), axis)
    if count % 2:  # the last has no neighbour
        second = second.copy()
        np.moveaxis(second, axis, 0)[-1] = 0
    up = np.maximum(first, 0) + np.maximum(second, 0)
    down = np.maximum(-first, 0) + np.maximum(-second, 0)
    pairs: _Array = np.maximum(up, down)
    return pairs
