"""Whether a latency can be trusted, and if not, why."""

from __future__ import annotations

from collections.abc import Mapping

from edge_fgir.benchmarking.conditions import Conditions
from edge_fgir.benchmarking.watch import Watcher
from edge_fgir.results import CertificateBounds

OTHER_WORK = 0.05
"""Share of all CPUs' time that other processes may take during a certified run."""
APART = 0.03
"""How far the medians of two repeats may be apart in a certified run, of the smaller one."""

Repeats = Mapping[str, tuple[float, float] | None]
"""For every call the medians of two repeats, milliseconds; None where there were not two."""


BOUNDS = CertificateBounds(other_work_below=OTHER_WORK, repeats_apart_at_most=APART)


def objections(
    conditions: Conditions, watcher: Watcher, repeats: Repeats, *, quick: bool = False
) -> tuple[str, ...]:
    """Return what speaks against a run; nothing: it is certified.

    What is unknown speaks against it as much as what is known to be wrong.

    Args:
        conditions: What was watched.
        watcher: Who watched.
        repeats: The medians.
        quick: There were too few runs for a certificate.
    """
    reasons = (
        "a quick measurement has few runs" if quick else "",
        _throttled(conditions),
        f"the watcher died: {watcher.died}" if watcher.died else "",
        _disturbed(conditions),
        *(_apart(name, medians) for name, medians in repeats.items()),
    )
    return tuple(filter(None, reasons))


def _throttled(conditions: Conditions) -> str:
    throttling = conditions.throttling
    if throttling.unknown:
        return f"throttling is unknown: {throttling.unknown}"
    if not throttling.events:
        return ""
    name, at = min(throttling.events.items(), key=lambda event: event[1])
    others = f" and {len(throttling.events) - 1} more" if len(throttling.events) > 1 else ""
    return f"throttled: {name}{others}, first {at:g} s after the start"


def _disturbed(conditions: Conditions) -> str:
    share = conditions.other_work.share
    if share is None:
        why = conditions.other_work.unknown or "the run was too short to tell"
        return f"other work is unknown: {why}"
    if share < OTHER_WORK:
        return ""
    return (
        f"other work took {100 * share:.0f} % of the CPUs (allowed: below {100 * OTHER_WORK:g} %)"
    )


def _apart(name: str, medians: tuple[float, float] | None) -> str:
    if medians is None:
        return f"{name} was not measured twice"
    apart = (max(medians) - min(medians)) / min(medians)
    if apart <= APART:
        return ""
    return f"two repeats of {name} are {100 * apart:.1f} % apart (allowed: {100 * APART:g} %)"
