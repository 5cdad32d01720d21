"""Sizes within the budget: interpolated at first, and then timed themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge_fgir.fitting.clock import Clock
from edge_fgir.fitting.latencies import LatencyTable, probes
from edge_fgir.fitting.networks import Architecture
from edge_fgir.fitting.shortlist import Considered, Shortlist

_TIMING = 0.25
"""Share of the time after which nothing further is built to be timed."""


def timed_sizes(
    architectures: Sequence[Architecture],
    table: LatencyTable,
    shortlist: Shortlist,
    clock: Clock,
    tell: Callable[[str], None],
) -> list[Considered]:
    """Return each architecture at the largest size that fits.

    While there is time, that size is timed itself, and so is the next larger one: latency does not
    quite follow the pixels, and preprocessing takes steps. Where nothing fits, but nearly, all that
    time is spent on timing it again: other work may end.

    Args:
        architectures: The ones that matter most first; what cannot be built is left out.
        table: Times them.
        shortlist: Chooses by it.
        clock: The fit's time.
        tell: Gets a line for the user.
    """

    def until() -> bool:
        return clock.spent < _TIMING * clock.seconds

    table.measure([probe for each in architectures for probe in probes(each)], tell, until)
    while True:
        considered = shortlist.of([each for each in architectures if each not in table.refused])
        near = [candidate for each in considered for candidate in shortlist.near(each)]
        missing = [each for each in near if not table.is_measured(each)]
        if not missing or not until():
            break
        table.measure(missing, tell, until)
    while not any(each.fits for each in considered) and until():
        if not (nearly := shortlist.nearly(considered)):
            break
        tell("nothing fits, but nearly: timed again, as other work may be why")
        table.measure(nearly, tell, until, again=True)
        considered = [shortlist.at(each.candidate) for each in considered]
    return considered
