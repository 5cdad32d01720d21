"""The arithmetic of a visit: what several frames of one thing say together.

Frames that are close in time show the same pose and the same blur; so the frames of a moment are
averaged to one vote, and votes are not counted as independent ones either. With the votes
``l_i = mean(log p)``, (K,), of n moments and weights ``w_i`` that halve with age::

    mean   = sum(w_i l_i) / sum(w_i)
    count  = sum(w_i)^2 / sum(w_i^2)                  (n for equal weights)
    weight = count / (1 + (count - 1) * correlation)  (what n correlated votes are worth)
    p      = exp(weight * mean) / sum over the classes

The worth of correlated votes is Kish's effective sample size (Survey Sampling, 1965). One frame
gives the model's own probabilities, whatever the correlation; at a correlation of 1 so does any
number of equal ones. Any prior comes after this, once (``Judge``).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edge_fgir.runtime.decisions.event import EventOptions

Floats = npt.NDArray[np.floating]

_LEAST = 1e-4
"""No single frame rules a class out: INT8 rounds small probabilities to zero."""


def vote_of(probabilities: Floats) -> Floats:
    """Return what one moment says, (..., K) of the model's (..., K) probabilities."""
    logs: Floats = np.log(np.maximum(probabilities, _LEAST, dtype=np.float64))
    return logs


class _Count(NamedTuple):
    """What was counted; replaced as a whole: Ctrl-C between two lines leaves no half of it."""

    start: float = 0.0
    """When the moment that is counted began, seconds."""
    weight: float = 0.0
    squares: float = 0.0
    earlier: Floats = np.zeros(1)
    """The sum over the moments before it, faded."""
    moment: Floats = np.zeros(1)
    in_moment: int = 0
    frames: int = 0
    moments: int = 0


class Votes:
    """The votes of one visit."""

    def __init__(self, options: EventOptions) -> None:
        self._options = options
        self._count = _Count()

    @property
    def frames(self) -> int:
        """Frames counted."""
        return self._count.frames

    @property
    def moments(self) -> int:
        """Moments that they belong to."""
        return self._count.moments

    def add(self, probabilities: Floats, time_s: float) -> None:
        """Count a frame: the model's (K,) probabilities at ``time_s``, seconds."""
        count = self._count
        if not count.moments or time_s - count.start >= self._options.moment_s:
            count = self._next_moment(count, time_s)
        self._count = count._replace(
            moment=count.moment + vote_of(probabilities),
            in_moment=count.in_moment + 1,
            frames=count.frames + 1,
        )

    def _next_moment(self, count: _Count, time_s: float) -> _Count:
        begun = count._replace(
            start=time_s, moment=np.zeros(1), in_moment=0, moments=count.moments + 1
        )
        if not count.moments:
            return begun
        kept = 0.5 ** (max(0.0, time_s - count.start) / self._options.memory_s)
        return begun._replace(
            weight=(count.weight + 1) * kept,
            squares=(count.squares + 1) * kept**2,
            earlier=(count.earlier + count.moment / count.in_moment) * kept,
        )

    @property
    def probabilities(self) -> Floats:
        """What they say together, (K,), before any prior.

        Only after a frame was counted.
        """
        count = self._count
        weight, squares = count.weight + 1, count.squares + 1
        mean = (count.earlier + count.moment / count.in_moment) / weight
        effective = weight**2 / squares
        worth = effective / (1 + (effective - 1) * self._options.correlation)
        powers = np.exp(worth * (mean - mean.max()))
        shares: Floats = powers / powers.sum()
        return shares
