"""The result in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from edge_fgir.reporting.fits import outcome_of_fit
from edge_fgir.reporting.profiles import outcome_of
from edge_fgir.reporting.rows import Row
from edge_fgir.reporting.sweeps import SweepRow, SweepTable
from edge_fgir.reporting.units import milliseconds, percent, times
from edge_fgir.results import Fit, Profile, Subject, Training


def headline(rows: Sequence[Row]) -> Row | None:
    """Return the bundle to speak of: on its own device, evaluated, and fastest against torch."""
    bundles = [row for row in rows if not row.is_torch]
    return max(
        bundles,
        key=lambda row: (not row.note, row.evaluation is not None, row.times_faster or 0.0),
        default=None,
    )


def outcome(
    rows: Sequence[Row],
    fits: Sequence[Fit],
    profiles: Sequence[Profile],
    sweeps: Sequence[SweepTable],
    trainings: Sequence[Training],
    predicted: Sequence[Subject],
) -> str:
    """Say in one sentence what came out."""
    if fits:
        return outcome_of_fit(fits[0])
    best = headline(rows)
    if best is not None:
        return f"{best.title}: {', '.join(_facts(best))}"
    for profile in profiles:
        if profile.chosen is not None:
            return outcome_of(profile)
    for row in rows:
        if row.evaluation is not None:
            evaluation = row.evaluation
            images = f"{evaluation.images} {evaluation.split} images of {evaluation.data.name}"
            return f"{row.title}: {percent(evaluation.top1)} top-1 on {images}"
    for sweep in sweeps:
        if sweep.best is not None:
            return _best_of(sweep, sweep.best)
    for training in reversed(trainings):
        if training.val_top1 is not None:
            reached = f"{percent(training.val_top1)} validation top-1"
            return f"{training.name}: {reached} after {training.epochs} epochs"
    return f"Pictures classified by {predicted[0].title}" if predicted else ""


def _best_of(sweep: SweepTable, best: SweepRow) -> str:
    group = best.group
    reached = f"{percent(group.top1 or 0.0)} top-1 on {sweep.data}"
    seeds = f", mean of {group.n} seeds" if group.n > 1 else ""
    return f"Best of {len(sweep.rows)} settings: {best.name}, {reached}{seeds}"


def _facts(row: Row) -> list[str]:
    facts = []
    if row.evaluation is not None:
        torch = f" (torch {percent(row.torch.top1)})" if row.torch else ""
        facts.append(f"{percent(row.evaluation.top1)} top-1{torch}")
    if row.times_faster is not None:
        facts.append(_ratio(row.times_faster, "faster", "slower"))
    elif row.timings and row.timings[0].frame:
        facts.append(f"{milliseconds(row.timings[0].frame.p50_ms)} ms from frame to decision")
    if row.times_smaller is not None:
        facts.append(_ratio(row.times_smaller, "smaller", "larger"))
    if row.note:
        facts.append(row.note)
    return facts or [row.untimed]


def _ratio(value: float, above: str, below: str) -> str:
    return f"{times(value)} {above}" if value >= 1 else f"{times(1 / value)} {below}"
