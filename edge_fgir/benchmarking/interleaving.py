"""Interleaved timing of many calls at once, on a machine that also does other things."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_fgir._progress import progress
from edge_fgir.benchmarking.drift import without_drift
from edge_fgir.benchmarking.protocol import PROBES, Call, Protocol, StoppingRule, WarmUp, time_runs

_PART = 20
"""Rounds that are compared with others."""
_APART = 0.05
"""How far the halves of an undisturbed call's time may be apart."""
_WARM = WarmUp(least_s=0, most_s=0)

Seconds = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interleaved:
    """One call among others.

    Attributes:
        seconds: Its typical time, with the drift of the machine taken off.
        all: All its run times, seconds.
        disturbed: Parts of the measurement disagree: something else was going on.
    """

    seconds: float
    all: Seconds
    disturbed: bool

    @property
    def tail(self) -> float:
        """The 99th percentile of all runs over their median, at least 1."""
        return max(float(np.percentile(self.all, 99) / np.median(self.all)), 1.0)


def interleave(
    calls: Mapping[str, Call], protocol: Protocol = PROBES, brief: Collection[str] = ()
) -> dict[str, Interleaved]:
    """Time calls in alternating turns, block by block, until they are exact or time is over.

    Args:
        calls: By name.
        protocol: How, by its runs alone, whatever its seconds; without a stopping rule, the
            usual one applies.
        brief: Names of those that need not be exact: they drop out after the first blocks.
    """
    rule = protocol.stop or StoppingRule()
    lasting = {name: call for name, call in calls.items() if name not in brief}
    exact = [name in lasting for name in calls]
    protocol = protocol.model_copy(update={"seconds": 0.0})
    shape = protocol.rounds, protocol.turn_runs
    seconds = np.empty((len(calls), 0, protocol.turn_runs))
    began = time.monotonic()
    with progress("measuring", rule.most) as meter:
        for count in range(1, rule.most + 1):
            timed = time_runs(calls if count <= rule.brief else lasting, protocol)
            protocol = protocol.model_copy(update={"warm_up": _WARM})
            block = [
                np.reshape(timed[name].seconds, shape) if name in timed else np.full(shape, np.nan)
                for name in calls
            ]
            seconds = np.concatenate([seconds, block], axis=1)
            turns = seconds.mean(axis=2)
            meter.advance()
            spent = time.monotonic() - began
            most_seconds = rule.seconds * len(lasting)
            if count >= rule.fewest and spent * (count + 1) / count > most_seconds:
                break
            if count >= rule.brief and _settled(_apart(turns)[exact], rule.exact):
                break
        if count < rule.most:
            meter.advance(rule.most - count)
    return {
        name: Interleaved(float(typical), runs[~np.isnan(runs)], _disturbed(apart))
        for name, typical, runs, apart in zip(
            calls, without_drift(turns), seconds, _apart(turns), strict=True
        )
    }


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
    """Return whether a call's parts, (parts,), disagree."""
    return bool(np.nanmedian(np.abs(apart)) > np.log1p(_APART) / 2)


def _settled(apart: Seconds, exact: float) -> bool:
    """Return whether calls, (calls, parts), are timed exactly and none is disturbed."""
    free = apart.shape[1] - 1
    # The median over calls is that of a chi-squared distribution (Wilson and Hilferty 1931).
    variance = np.median(np.square(apart).sum(axis=1)) / free / (1 - 2 / (9 * free)) ** 3
    is_exact = np.sqrt(variance / apart.shape[1]) <= exact
    return bool(is_exact and not any(map(_disturbed, apart)))
