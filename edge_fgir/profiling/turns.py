"""Short measurements of many calls at once, on a machine that also does other things."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edge_fgir._progress import progress
from edge_fgir.benchmarking.drift import without_drift
from edge_fgir.benchmarking.protocol import Call, time_runs

_ROUNDS, _RUNS, _WARM_UP_S = 10, 2, 0.4
"""Of one stretch. Many short turns: what slows the machine for a second slows all calls alike."""
_FEWEST, _LEAST, _MOST = 2, 4, 24
"""Stretches: of what is slow, of what is calm and quick, of what never gets exact."""
_PART = 20
"""Rounds that are compared with others."""
_SECONDS_EACH = 10.0
"""Upper bound of the measuring time: 16 probes take less than three minutes."""
_EXACT = 0.005
"""Standard error, relative, that is exact enough."""
APART = 0.05
"""How far the halves of a call's time may be apart."""

Seconds = npt.NDArray[np.float64]


class Turns(NamedTuple):
    """One call: its time without drift, all its run times (seconds), and whether they disagree."""

    seconds: float
    all: Seconds
    disturbed: bool


def time_in_turns(calls: Mapping[str, Call], brief: Collection[str] = ()) -> dict[str, Turns]:
    """Time calls in turns, stretch by stretch until they are exact or the time is over.

    Two stretches are taken in any case.

    Args:
        calls: By name.
        brief: Names of those that need not be exact: they drop out after the first stretches.
    """
    lasting = {name: call for name, call in calls.items() if name not in brief}
    began, most_seconds = time.monotonic(), _SECONDS_EACH * len(lasting)
    exact = [name in lasting for name in calls]
    seconds = np.empty((len(calls), 0, _RUNS))
    with progress("measuring", _MOST) as meter:
        for count in range(1, _MOST + 1):
            asked = calls if count <= _LEAST else lasting
            more = _stretch(asked, 0.0 if count > 1 else _WARM_UP_S)
            missing = np.full((_ROUNDS, _RUNS), np.nan)
            rows = [more.get(name, missing) for name in calls]
            seconds = np.concatenate([seconds, rows], axis=1)
            turns = seconds.mean(axis=2)
            meter.advance()
            spent = time.monotonic() - began
            if count >= _FEWEST and spent * (count + 1) / count > most_seconds:
                break
            if count >= _LEAST and _settled(_apart(turns)[exact]):
                break
        if count < _MOST:
            meter.advance(_MOST - count)
    return {
        name: Turns(float(own), every[~np.isnan(every)], _disturbed(strays))
        for name, own, every, strays in zip(
            calls, without_drift(turns), seconds, _apart(turns), strict=True
        )
    }


def _stretch(calls: Mapping[str, Call], warm_up_s: float) -> dict[str, Seconds]:
    """Return run times by name, (rounds, runs)."""
    runs = time_runs(
        calls, seconds=0, min_runs=_ROUNDS * _RUNS, most_warm_up_s=warm_up_s, rounds=_ROUNDS
    )
    return {name: np.reshape(one.seconds, (_ROUNDS, _RUNS)) for name, one in runs.items()}


def _apart(turns: Seconds) -> Seconds:
    """Return how far parts of a call's time are from its others, beyond what all are.

    Args:
        turns: (calls, rounds); NaN where a call was not timed.

    Returns:
        (calls, parts), logarithms; NaN likewise.
    """
    parts = np.array_split(turns, max(turns.shape[1] // _PART, 2), axis=1)
    apart = np.full((len(turns), len(parts)), np.nan)
    for column, part in zip(apart.T, parts, strict=True):
        timed = ~np.isnan(part).all(axis=1)
        column[timed] = np.log(without_drift(part[timed]))
    apart -= np.nanmedian(apart, axis=1, keepdims=True)
    apart -= np.nanmedian(apart, axis=0)
    apart -= np.nanmedian(apart, axis=1, keepdims=True)
    return apart


def _disturbed(apart: Seconds) -> bool:
    """Say whether a call's parts, (parts,), disagree."""
    return bool(np.nanmedian(np.abs(apart)) > np.log1p(APART) / 2)


def _settled(apart: Seconds) -> bool:
    """Say whether calls, (calls, parts), are timed exactly and none is disturbed."""
    free = apart.shape[1] - 1
    # The median over calls is that of a chi-squared distribution (Wilson and Hilferty 1931).
    variance = np.median(np.square(apart).sum(axis=1)) / free / (1 - 2 / (9 * free)) ** 3
    exact = np.sqrt(variance / apart.shape[1]) <= _EXACT
    return bool(exact and not any(map(_disturbed, apart)))
