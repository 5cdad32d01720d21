"""A perceptual hash: pictures that look the same have nearly the same bits.

It is the difference hash in both directions, 128 bits: whether each of 8 x 8 fields is brighter
than its neighbour on the right, and than the one below. It survives another size, another
compression and grey; it does not survive a crop or a turn.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from edge_fgir.runtime.preprocess import Pixels

_SIDE = 8

Hashes = npt.NDArray[np.uint8]


def look_hash(pixels: Pixels) -> Hashes:
    """Return the hash of (H, W, 3) pixels, (16,) ``uint8``."""
    grey = Image.fromarray(pixels).convert("L")
    wide = np.asarray(grey.resize((_SIDE + 1, _SIDE), Image.Resampling.BOX), np.int16)
    tall = np.asarray(grey.resize((_SIDE, _SIDE + 1), Image.Resampling.BOX), np.int16)
    bits = np.concatenate([(np.diff(wide) > 0).ravel(), (np.diff(tall, axis=0) > 0).ravel()])
    return np.packbits(bits)
