"""The charts of a fit: the front of what was tried, and where the time went."""

from __future__ import annotations

from edge_fgir.reporting.charts import Bar, Group, bar_chart
from edge_fgir.reporting.fits import Tried, judged_by, outcome_of_fit, score, tried
from edge_fgir.reporting.scatter import PLAIN, STRONG, Axes, Bound, Curve, Point, scatter_chart
from edge_fgir.reporting.sweeps import front
from edge_fgir.reporting.units import duration, milliseconds, percent
from edge_fgir.results import Fit

_PRETRAINED, _SCRATCH = 1, 5
_WIDTH, _HEIGHT = 590, 400


def fit_chart(fit: Fit) -> str:
    """Draw what was tried, accuracy over milliseconds, with its front and the budget."""
    rows = [(row, row.ms) for row in tried(fit)]
    timed = [(row, ms) for row, ms in rows if ms is not None]
    places = [(ms, score(fit, row)) for row, ms in timed]
    best = front(places)
    points = [
        _point(fit, row, place, labelled=index in best or row.point is not None)
        for index, ((row, _), place) in enumerate(zip(timed, places, strict=True))
    ]
    bounds = []
    if fit.budget.latency_ms is not None:
        tail = " (p99)" if fit.budget.percentile == "p99" else ""
        bounds.append(Bound(fit.budget.latency_ms, f"budget {fit.budget.latency_ms:g} ms{tail}"))
    axes = Axes("median ms", f"{judged_by(fit)} %, validation", _WIDTH, _HEIGHT, ratios=True)
    title = f"{judged_by(fit)} over milliseconds of {len(points)} candidates; {outcome_of_fit(fit)}"
    curve = Curve(tuple(places[i] for i in best), 0)
    return scatter_chart(points, [curve], title=title, axes=axes, bounds=bounds)


def fit_legend(fit: Fit) -> list[tuple[int | None, str, str]]:
    """Return what colours and marks of the front stand for: a colour's number, a glyph, text."""
    kinds = {row.candidate.pretrained for row in tried(fit)}
    keys: list[tuple[int | None, str, str]] = []
    if True in kinds:
        keys.append((_PRETRAINED, "\N{BLACK CIRCLE}", "pretrained"))
    if False in kinds:
        keys.append((_SCRATCH, "\N{BLACK CIRCLE}", "from scratch"))
    keys.append((None, "\N{BLACK CIRCLE}", "solid: exported and measured"))
    if any(row.point is None for row in tried(fit)):
        keys.append((None, "\N{WHITE CIRCLE}", "hollow: in torch, timed with random weights"))
    return keys


def time_chart(fit: Fit) -> str:
    """Draw where the time went; '' where that is not known."""
    minutes = 60.0 if fit.seconds >= 120 else 1.0
    groups = [
        Group(
            step.name,
            "",
            (Bar(step.seconds / minutes, duration(step.seconds), 1, duration(step.seconds)),),
        )
        for step in fit.steps
        if step.seconds >= 0.005 * fit.seconds
    ]
    if not groups:
        return ""
    title = f"Where {duration(fit.seconds)} went"
    return bar_chart(groups, title=title, unit="min" if minutes > 1 else "s")


def _point(fit: Fit, row: Tried, place: tuple[float, float], *, labelled: bool) -> Point:
    chosen = row.point is not None and row.point.role == "chosen"
    accuracy = (row.point or row.training).accuracy
    name = row.point.name if row.point is not None else row.candidate.name
    precision = f", {row.point.precision}" if row.point is not None else ""
    reached = f"{percent(place[1])} {judged_by(fit)}, {milliseconds(place[0])} ms"
    return Point(
        *place,
        tip=f"{name}{precision}: {reached}",
        label=(f"chosen: {name}" if chosen else name) if labelled else "",
        short="chosen" if chosen else "",
        insists=chosen,
        series=_PRETRAINED if row.candidate.pretrained else _SCRATCH,
        weight=STRONG if chosen else PLAIN,
        hollow=row.point is None,
        up=(accuracy.low, accuracy.high) if chosen and fit.judged_by == "top1" else None,
    )
