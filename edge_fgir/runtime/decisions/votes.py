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


class Votes:
    """The votes of one visit."""

    def __init__(self, options: EventOptions) -> None:
        self._options = options
        self._start = self._weight = self._squares = 0.0
        self._sum: Floats = np.zeros(1)
        self._moment: Floats = np.zeros(1)
        self._in_moment = 0
        self.frames = 0
        """Frames counted."""
        self.moments = 0
        """Moments that they belong to."""

    def add(self, probabilities: Floats, time_s: float) -> None:
        """Count a frame: the model's (K,) probabilities at ``time_s``, seconds."""
        if not self.moments or time_s - self._start >= self._options.moment_s:
            self._begin(time_s)
        self._moment = self._moment + vote_of(probabilities)
        self._in_moment += 1
        self.frames += 1

    def _begin(self, time_s: float) -> None:
        if self.moments:
            self._sum = self._sum + self._moment / self._in_moment
            self._weight += 1
            self._squares += 1
            kept = 0.5 ** (max(0.0, time_s - self._start) / self._options.memory_s)
            self._sum, self._weight = self._sum * kept, self._weight * kept
            self._squares *= kept**2
        self._moment, self._in_moment = np.zeros(1), 0
        self._start = time_s
        self.moments += 1

    @property
    def probabilities(self) -> Floats:
        """What they say together, (K,), before any prior.

        Only after a frame was counted.
        """
        weight, squares = self._weight + 1, self._squares + 1
        mean = (self._sum + self._moment / self._in_moment) / weight
        count = weight**2 / squares
        worth = count / (1 + (count - 1) * self._options.correlation)
        powers = np.exp(worth * (mean - mean.max()))
        shares: Floats = powers / powers.sum()
        return shares
