"""What calls take that were timed in turns, when the machine itself got slower and faster."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_SWEEPS = 20
_SETTLED = 1e-9


def without_drift(times: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the median time of each call, at the speed that the machine typically had.

    A turn's time is taken as the call's own times the machine's slowness in that round; the two are
    told apart by median polish of the logarithms (Tukey 1977, Exploratory Data Analysis, chapter
    11). In a run whose rounds are short, what else the machine does hits all calls of a round
    alike, and drops out.

    Args:
        times: (calls, rounds), above 0; NaN where a call took no part in a round.

    Returns:
        (calls,) in the unit of ``times``.
    """
    left = np.log(np.asarray(times, np.float64))
    own, slowness = np.zeros(left.shape[0]), np.zeros(left.shape[1])
    for _ in range(_SWEEPS):
        step = np.nanmedian(left, axis=1)
        own, left = own + step, left - step[:, None]
        drift = np.nanmedian(left, axis=0)
        slowness, left = slowness + drift, left - drift
        if np.abs(step).max() < _SETTLED and np.abs(drift).max() < _SETTLED:
            break
    typical: npt.NDArray[np.float64] = np.exp(own + np.median(slowness))
    return typical
