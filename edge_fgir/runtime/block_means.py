"""Means of blocks of pixels: the first step of shrinking a large picture.

Every number is an integer, so each machine gets the same (docs/preprocessing.md#blocks). Resizing
libraries read a large picture pixel by pixel; NumPy adds whole lines nearly as fast as memory
gives them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Sums = npt.NDArray[np.uint16]

_LARGEST = 16
"""Longest side of a block: the sum of 16 x 16 bytes and its rounding fit 16 bits."""

_CHANNELS = 3
_COPIED = 4
_BAND = 120_000
"""Sums that are worked on at a time, so that they stay in a processor's second cache."""


class Block(NamedTuple):
    """Height and width of a block, pixels."""

    down: int
    across: int


def block_of(height: int, width: int, side: int) -> Block | None:
    """Return the block for a picture that becomes a square of ``side`` pixels; None: none.

    At least 11/8 blocks are left for each pixel, and nearly two where blocks are large. Blocks of
    single lines or columns would save nothing.
    """
    down, across = (
        min(_LARGEST, 8 * length // (11 * side), length // (2 * side) + 1)
        for length in (height, width)
    )
    return Block(down, across) if down > 1 and across > 1 else None


def block_means(pixels: Pixels, block: Block) -> Pixels:
    """Return the means of blocks, rounded half up.

    Where the last blocks leave the picture, its last line and column are repeated.

    Args:
        pixels: (H, W, 3).
        block: Of 2 x 2 to 16 x 16 pixels.

    Returns:
        (ceil(H / down), ceil(W / across), 4): three means, and a byte without meaning.
    """
    height, width, _ = pixels.shape
    down, across = block
    rows, columns = -(-height // down), -(-width // across)
    means = np.empty((rows, columns * _COPIED), np.uint8)
    count = np.uint16(down * across)
    row = 0
    for band in _bands(pixels.reshape(height, width * _CHANNELS), down):
        summed = _summed_across(_summed_down(band, columns * across), across)
        sums = _first_of_each(summed, (len(band), columns), across)
        sums += count // np.uint16(2)
        np.floor_divide(sums, count, out=means[row : row + len(band)], casting="unsafe")
        row += len(band)
    return means.reshape(rows, columns, _COPIED)


def _bands(lines: Pixels, down: int) -> Iterator[Pixels]:
    """Yield blocks of lines, (rows, ``down``, 3 W), as many at a time as a cache holds."""
    width = lines.shape[1]
    whole = len(lines) - len(lines) % down
    step = max(1, _BAND // width) * down
    for start in range(0, whole, step):
        yield lines[start : min(start + step, whole)].reshape(-1, down, width)
    if rest := len(lines) - whole:
        yield lines[whole:][np.minimum(np.arange(down), rest - 1)][None]


def _summed_down(band: Pixels, columns: int) -> Sums:
    """Return the sums of ``band`` over the lines of each block, continued to ``columns`` pixels.

    They are flat, with one number more, as ``_first_of_each`` reads beyond the last pixel.
    """
    rows, down, width = band.shape
    flat = np.empty(rows * columns * _CHANNELS + 1, np.uint16)
    flat[-1] = 0
    sums = flat[:-1].reshape(rows, columns * _CHANNELS)
    if down == 2:  # in half the time of a reduction
        np.add(band[:, 0], band[:, 1], dtype=np.uint16, out=sums[:, :width])
    else:
        np.add.reduce(band, axis=1, dtype=np.uint16, out=sums[:, :width])
    if beyond := columns - width // _CHANNELS:
        sums[:, width:] = np.tile(sums[:, width - _CHANNELS : width], beyond)
    return flat


def _summed_across(flat: Sums, across: int) -> Sums:
    """Return the sums of each pixel and its ``across - 1`` next; the last ones have no meaning.

    Few of them are used, but adding whole arrays is faster than picking pixels.
    """
    sums, windows, count = np.empty_like(flat), flat, 1
    for bit in f"{across:b}"[1:]:  # twice as wide, and one wider
        step = count * _CHANNELS
        reach = len(windows) - step
        windows = np.add(windows[:reach], windows[step:], out=sums[:reach])
        count *= 2
        if bit == "1":
            windows = windows[: reach - _CHANNELS]
            windows += flat[count * _CHANNELS :][: len(windows)]
            count += 1
    return sums


def _first_of_each(flat: Sums, shape: tuple[int, int], across: int) -> Sums:
    """Return every ``across``-th pixel of ``flat`` with the number behind it: (rows, 4 columns).

    Four numbers are copied as one, which takes a tenth of the time.
    """
    step = across * _CHANNELS * flat.itemsize
    four = np.ndarray(shape, np.uint64, flat, strides=(shape[1] * step, step))
    return four.copy().view(np.uint16)
