"""Some of many pictures, spread evenly over all: data sets are sorted by class."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def spread_evenly(total: int, count: int) -> npt.NDArray[np.int64]:
    """Return at most ``count`` places of ``total``, ascending, first and last among them."""
    places: npt.NDArray[np.int64] = np.unique(np.linspace(0, total - 1, count).astype(np.int64))
    return places
