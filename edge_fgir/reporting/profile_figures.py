"""The charts of a profile: the front, the price of a budget, the staircase, the probes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from edge_fgir.reporting.intervals import Interval, interval_chart
from edge_fgir.reporting.profiles import outcome_of, title_of
from edge_fgir.reporting.scatter import (
    FAINT,
    PLAIN,
    STRONG,
    Axes,
    Bound,
    Curve,
    Point,
    scatter_chart,
)
from edge_fgir.reporting.sweeps import front
from edge_fgir.reporting.units import milliseconds
from edge_fgir.results import LatencyFit, ProbeFit, Profile, ProfiledRun, ProfilePoint

Key = tuple[int | None, str, str]
"""Of a legend: the number of a colour, None: ink; a glyph; what it stands for."""

# The first ones differ most, in hue and in lightness.
_COLOURS = (1, 5, 3, 4, 2, 0)
_SHAPES = {"int8": 0, "int8-bf16": 2, "fp32": 1, "bf16": 3, "fp16": 3}
_SOLID, _HOLLOW = "●■◆▲", "○□◇△"
_FRONT_WIDTH, _COST_WIDTH, _HEIGHT = 590, 380, 400
_STAIRS_WIDTH, _STAIRS_HEIGHT = 460, 330
_DOTS = 30


def front_chart(profile: Profile) -> str:
    """Draw every point, top-1 over milliseconds, with each run's front and the budget."""
    fronts = _fronts(profile)
    lines = [
        Curve(tuple(_position(profile.points[i]) for i in best), _colour(profile, run.name))
        for run, best in zip(profile.runs, fronts, strict=True)
        if best
    ]
    labels = _labels(profile, fronts)
    roles = ("chosen", "runner-up", "")
    ranked = sorted(
        range(len(profile.points)),
        key=lambda i: (
            roles.index(profile.points[i].role),
            labels.get(i) != profile.points[i].run,
            i not in labels,
        ),
    )
    points = [_point(profile, profile.points[i], labels.get(i, "")) for i in ranked]
    ms = "measured or predicted ms" if profile.measured else "estimated ms"
    title = f"Top-1 over {ms} of {len(points)} settings, with the front of each run; "
    title += outcome_of(profile) or "none was chosen"
    axes = Axes(f"median {ms}", "top-1 %, validation", _FRONT_WIDTH, _HEIGHT, ratios=True)
    return scatter_chart(points, lines, title=title, axes=axes, bounds=_bounds(profile))


def front_legend(profile: Profile) -> list[Key]:
    """Return what colours and marks of the front stand for."""
    keys: list[Key] = []
    if len(profile.runs) > 1:
        keys += [(_colour(profile, run.name), "\N{BLACK CIRCLE}", run.name) for run in profile.runs]
    shapes = dict.fromkeys(_SHAPES.get(point.precision, 3) for point in profile.points)
    precisions = {_SHAPES.get(p.precision, 3): p.precision for p in reversed(profile.points)}
    if len(shapes) > 1:
        keys += [(None, _SOLID[shape], precisions[shape]) for shape in sorted(shapes)]
    hollow, solid = _HOLLOW[min(shapes)], _SOLID[min(shapes)]
    if not profile.measured:
        return [*keys, (None, hollow, "estimate, and how far it may be off")]
    if any(point.measured is None for point in profile.points):
        keys.append((None, hollow, "hollow: predicted, with its 95 % interval"))
    if any(point.measured for point in profile.points):
        tail = ", with a line to p99" if profile.budget.percentile == "p99" else ""
        keys.append((None, solid, f"solid: measured{tail}"))
    return keys


def _fronts(profile: Profile) -> list[list[int]]:
    """Return, run by run, the indices of the points that no other of the run beats."""
    fronts = []
    for run in profile.runs:
        points = [i for i, point in enumerate(profile.points) if point.run == run.name]
        best = front([_position(profile.points[i]) for i in points])
        fronts.append([points[i] for i in best])
    return fronts


def _labels(profile: Profile, fronts: Sequence[Sequence[int]]) -> dict[int, str]:
    """Return what is written beside the points of the fronts and the finalists, by index."""
    labels = {i: profile.points[i].name for best in fronts for i in best}
    if len(profile.runs) > 1:
        labels |= {best[-1]: profile.points[best[-1]].run for best in fronts if best}
    for i, point in enumerate(profile.points):
        if point.role:
            labels[i] = f"chosen: {point.name}" if point.role == "chosen" else point.name
    return labels


def _position(point: ProfilePoint) -> tuple[float, float]:
    return point.median_ms, point.accuracy.top1


def _point(profile: Profile, point: ProfilePoint, label: str) -> Point:
    across = None
    if point.measured is not None and profile.budget.percentile == "p99":
        across = (point.measured.p50_ms, point.measured.p99_ms)
    elif point.measured is None and point.predicted is not None:
        across = (point.predicted.low, point.predicted.high)
    chosen = point.role == "chosen"
    return Point(
        *_position(point),
        _tip(profile, point),
        label,
        "chosen" if chosen else "",
        chosen or label == point.run,
        _colour(profile, point.run),
        _SHAPES.get(point.precision, 3),
        STRONG if chosen else PLAIN if label else FAINT,
        point.measured is None,
        across if label else None,
        (point.accuracy.low, point.accuracy.high) if chosen else None,
    )


def _tip(profile: Profile, point: ProfilePoint) -> str:
    measured = point.measured
    if measured is not None:
        certified = "certified" if measured.certified else "not certified"
        took = (
            f"p50 {milliseconds(measured.p50_ms)}, p99 {milliseconds(measured.p99_ms)} ms measured"
        )
        took = f"{took}, {certified}"
    else:
        word = "predicted" if profile.measured else "estimated"
        took = f"{milliseconds(point.median_ms)} ms {word}"
    reached = f"{point.accuracy.top1:.1f} % of {profile.images} images"
    over = "; beyond the budget" if profile.is_beyond(point) else ""
    return f"{point.run}, {point.name}, {point.precision}: {reached}, {took}{over}"


def _bounds(profile: Profile) -> list[Bound]:
    budget, bounds = profile.budget, []
    if budget.latency_ms is not None:
        tail = " (p99)" if budget.percentile == "p99" else ""
        bounds.append(Bound(budget.latency_ms, f"budget {budget.latency_ms:g} ms{tail}"))
    if budget.min_accuracy is not None:
        bounds.append(Bound(budget.min_accuracy, f"at least {budget.min_accuracy:g} %", floor=True))
    return bounds


def cost_chart(profile: Profile) -> str:
    """Draw the best top-1 within every latency; '' where that is not known."""
    steps = sorted(profile.costs, key=lambda step: step.latency_ms)
    if not steps:
        return ""
    corners = [(steps[0].latency_ms, steps[0].top1)]
    for before, after in pairwise(steps):
        corners += [(after.latency_ms, before.top1), (after.latency_ms, after.top1)]
    points = []
    for step in reversed(steps):
        point = profile.points[step.point]
        named = title_of(profile, point)
        points.append(
            Point(
                step.latency_ms,
                step.top1,
                f"from {milliseconds(step.latency_ms)} ms: {step.top1:.1f} %, {named}",
                f"{step.top1:.1f} %",
                series=_colour(profile, point.run),
                shape=_SHAPES.get(point.precision, 3),
                weight=STRONG if point.role == "chosen" else PLAIN,
                hollow=point.measured is None,
            )
        )
    points.sort(key=lambda point: -point.weight)
    steps_text = ", ".join(f"{milliseconds(s.latency_ms)} ms: {s.top1:.1f} %" for s in steps)
    title = f"Best top-1 within a latency; {steps_text}"
    axes = Axes("budget, ms", "best top-1 %, validation", _COST_WIDTH, _HEIGHT, ratios=True)
    line = Curve(tuple(corners), 1 if len(profile.runs) == 1 else 0)
    return scatter_chart(points, [line], title=title, axes=axes, bounds=_bounds(profile))


def staircases(profile: Profile) -> Iterator[tuple[str, str]]:
    """Yield a heading and a chart for every run with staircases: ms of a block over its tokens."""
    for run in profile.runs:
        models = [model for model in run.models if model.staircase is not None]
        if models:
            yield f"{run.name}: one block by its tokens", _stairs(profile, run, models)


def _stairs(profile: Profile, run: ProfiledRun, models: Sequence[LatencyFit]) -> str:
    points: list[Point] = []
    curves = []
    for model in models:
        assert model.staircase is not None
        steps = sorted(zip(model.staircase.tokens, model.staircase.block_ms, strict=True))
        series, shape = _colour(profile, run.name), _SHAPES.get(model.precision, 3)
        curves.append(Curve(tuple(steps), series, shape))
        drawn = steps if len(steps) <= _DOTS else steps[-1:]
        for tokens, ms in reversed(drawn):
            tip = f"{model.precision}: a block of {tokens} tokens takes {ms:.3g} ms"
            label = model.precision if tokens == steps[-1][0] else ""
            points.append(
                Point(tokens, ms, tip, label, series=series, shape=shape, hollow=model.estimate)
            )
    unit = "estimated ms" if any(model.estimate for model in models) else "ms"
    title = f"{run.name}: {unit} of a block over its tokens, by precision"
    axes = Axes("tokens", f"{unit} a block", _STAIRS_WIDTH, _STAIRS_HEIGHT, from_zero=True)
    return scatter_chart(points, curves, title=title, axes=axes)


def probe_charts(profile: Profile) -> Iterator[tuple[str, str]]:
    """Yield a heading and a chart for every model that was probed: predictions against probes."""
    for run, model in profile.models:
        if model.probes:
            rows = [_probe_row(probe) for probe in sorted(model.probes, key=lambda probe: probe.ms)]
            title = f"{run.name} {model.precision}: predictions against measurements, percent"
            chart = interval_chart(rows, title=title, unit="%", series=_colour(profile, run.name))
            yield f"{run.name} {model.precision}: predicted against measured", chart


def _probe_row(probe: ProbeFit) -> Interval:
    value, low, high = probe.deviation
    measured = f"{milliseconds(probe.ms)} ms"
    tip = f"{probe.name}: {measured} measured, {milliseconds(probe.predicted_ms)} ms predicted"
    tip = f"{tip} ({milliseconds(probe.low_ms)} to {milliseconds(probe.high_ms)})"
    text = f"{measured}, disturbed" if probe.disturbed else measured
    return Interval(probe.name, value, low, high, text, tip, probe.disturbed)


def _colour(profile: Profile, run: str) -> int:
    names = [each.name for each in profile.runs]
    return _COLOURS[names.index(run) % len(_COLOURS)]
