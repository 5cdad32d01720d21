"""Successive halving: little time for all, more for the best (arXiv 1502.07943).

All rungs get equally much time and each has half of the arms of the one before, so every survivor
gets twice as much. The last rung has one arm: the long training of the winner.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rung:
    """A round of trainings.

    Attributes:
        arms: How many take part.
        seconds: For each.
    """

    arms: int
    seconds: float


def rungs(arms: int, seconds: float, least: float) -> list[Rung]:
    """Return the rounds of a halving over ``arms`` within so many seconds.

    Where the time is too short to give every arm of the first rung its least, there are fewer
    rungs, which the better arms alone enter: those are to be told apart by something cheaper.

    Args:
        arms: Candidates, at least one.
        seconds: For all rounds together.
        least: Seconds below which a training says nothing.

    Returns:
        Rungs with at most ``arms``, then half as many, ... then one arm; none where the time does
        not even suffice for one.
    """
    counts = [1]
    while counts[-1] < arms:
        counts.append(min(2 * counts[-1], arms))
    while counts and seconds / len(counts) / counts[-1] < least:
        counts.pop()
    return [Rung(count, seconds / len(counts) / count) for count in reversed(counts)]


def epochs_within(seconds: float, step_seconds: float, steps_per_epoch: int) -> int:
    """Return how many whole epochs a training has time for; 0: none.

    Args:
        seconds: That it may take.
        step_seconds: Of one step.
        steps_per_epoch: Steps in an epoch.
    """
    return int(seconds / max(step_seconds * steps_per_epoch, 1e-9))
