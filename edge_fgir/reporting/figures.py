"""Which charts the page has, and what is noted below them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_fgir.reporting.charts import Bar, Group, bar_chart, line_chart
from edge_fgir.reporting.comparison import Comparison
from edge_fgir.reporting.documents import Latency, Percentiles, Training
from edge_fgir.reporting.rows import replay_note
from edge_fgir.reporting.scatter import Axes, Curve, Point, scatter_chart
from edge_fgir.reporting.svg import SERIES
from edge_fgir.reporting.sweeps import Setting, Trial, front
from edge_fgir.reporting.units import milliseconds, percent

_FRAME, _NETWORK, _RIVAL = 1, 2, 0
# A bench itself keeps every CPU busy; more than that is somebody else's work.
_BUSY = 1.5


@dataclass(frozen=True)
class Figure:
    """A chart.

    Attributes:
        svg: Safe markup.
        legend: (series, name) in the order of the bars.
    """

    svg: str
    legend: tuple[tuple[int, str], ...]


def latency_figure(latencies: Sequence[Latency]) -> Figure:
    """Draw every run: median as a bar, a line to p99."""
    legend = [(_FRAME, "frame to decision"), (_NETWORK, "network alone")]
    rivals = dict.fromkeys(one.rival.name for one in latencies if one.rival)
    legend += [(_RIVAL, f"{name}, network alone, same run") for name in rivals]
    groups = [_latency_group(one) for one in latencies]
    svg = bar_chart(groups, title="Latency of each bundle, milliseconds", unit="ms")
    return Figure(svg, tuple(legend))


def _latency_group(found: Latency) -> Group:
    bars = [
        _latency_bar("frame to decision", found.scopes.frame_to_decision, _FRAME),
        _latency_bar("network alone", found.scopes.network, _NETWORK),
    ]
    if found.rival:
        bars.append(_latency_bar(found.rival.name, found.rival, _RIVAL))
    return Group(found.title, found.engine, tuple(bars))


def _latency_bar(name: str, found: Percentiles, series: int) -> Bar:
    p50, p90, p99 = map(milliseconds, (found.p50_ms, found.p90_ms, found.p99_ms))
    tip = f"{name}: p50 {p50}, p90 {p90}, p99 {p99} ms, {found.n} runs"
    return Bar(found.p50_ms, f"{p50} (p99 {p99})", series, tip, tail=found.p99_ms)


def latency_notes(latencies: Sequence[Latency]) -> list[str]:
    """Return what a reader must know before trusting the latencies."""
    found: dict[str, list[str]] = {}
    for one in latencies:
        for remark in _remarks(one):
            found.setdefault(remark, []).append(one.title)
    return [f"{', '.join(dict.fromkeys(titles))}: {remark}." for remark, titles in found.items()]


def _remarks(found: Latency) -> list[str]:
    reasons = f": {'; '.join(found.uncertified_because)}" if found.uncertified_because else ""
    remarks = ["certified" if found.certified else f"not certified{reasons}", *_facts(found)]
    machine = found.environment
    if machine.cpus and (machine.load_1min or 0) > _BUSY * machine.cpus:
        remarks.append(
            f"the machine was busy with other work (load {machine.load_1min:g} on "
            f"{machine.cpus} CPUs), so the latencies are longer than they need be"
        )
    remarks += [f"{name} had not settled after the warm-up" for name in _unsettled(found)]
    if replay_note(found):
        remarks.append(replay_note(found))
    return remarks


def _facts(found: Latency) -> list[str]:
    facts = []
    if found.fixed_rate:
        rate = found.fixed_rate
        facts.append(
            f"{percent(100 * rate.missed)} of {rate.frames} frames missed their deadline at "
            f"{rate.fps:g} frames/s; busy {percent(100 * rate.duty)} of the time"
        )
    if found.sustained:
        facts.append(
            f"sustained, the median ended at {found.sustained.drift:.2f} times what it began with"
        )
    if found.energy and found.energy.joules_per_frame is not None:
        facts.append(
            f"{1e3 * found.energy.joules_per_frame:.3g} mJ a frame beyond idling at "
            f"{found.energy.idle_watts:.3g} W ({found.energy.meter})"
        )
    if found.peak_memory_mb is not None:
        facts.append(f"at most {found.peak_memory_mb:.0f} MiB of memory for the whole process")
    return facts


def sustained_chart(found: Latency) -> str:
    """Draw the median of frame to decision by window; '' where that is no line."""
    run = found.sustained
    if run is None or len(run.p50_ms) < 2:
        return ""
    points = [(i * run.window_s, value) for i, value in enumerate(run.p50_ms, 1)]
    title = "Median from frame to decision by second, milliseconds"
    return line_chart(points, title=title, digits=2, across="second")


def _unsettled(found: Latency) -> list[str]:
    measured = {
        "frame to decision": found.scopes.frame_to_decision,
        "network": found.scopes.network,
    }
    if found.rival:
        measured[found.rival.name] = found.rival
    return [name for name, one in measured.items() if not one.steady]


def class_figure(comparison: Comparison) -> Figure:
    """Draw every model's accuracy by class."""
    groups = [_class_group(comparison, index) for index in comparison.shown]
    svg = bar_chart(groups, title="Top-1 accuracy by class, percent", unit="%", end=100.0)
    legend = [(i % SERIES, row.title) for i, row in enumerate(comparison.rows)]
    return Figure(svg, tuple(legend))


def _class_group(comparison: Comparison, index: int) -> Group:
    name = comparison.first.classes[index].name
    images = comparison.first.classes[index].images
    bars = []
    for series, (row, found) in enumerate(
        zip(comparison.rows, comparison.evaluations, strict=True)
    ):
        value = found.classes[index].top1 or 0.0
        tip = f"{name}, {row.title}: {percent(value)}"
        bars.append(Bar(value, f"{value:.0f}", series, tip))
    return Group(name, f"{images} {'image' if images == 1 else 'images'}", tuple(bars))


def loss_chart(training: Training) -> str:
    """Draw the loss by epoch; '' where that is no line."""
    points = [(line.epoch, line.loss) for line in training.history if line.loss is not None]
    return line_chart(points, title="Training loss by epoch", digits=2) if len(points) > 1 else ""


def accuracy_chart(training: Training) -> str:
    """Draw the validation top-1 by epoch; '' where that is no line."""
    points = [(one.epoch, one.val_top1) for one in training.history if one.val_top1 is not None]
    title = "Validation top-1 by epoch, percent"
    return line_chart(points, title=title, digits=1) if len(points) > 1 else ""


def macs_chart(trial: Trial) -> str:
    """Draw top-1 against multiply-accumulates; '' where nothing is known."""
    return _pareto_chart(trial, {one.number: one.group.gmacs for one in trial.settings}, "GMACs")


def milliseconds_chart(trial: Trial) -> str:
    """Draw top-1 against measured milliseconds; '' where nothing was measured."""
    return _pareto_chart(trial, {one.number: one.group.ms for one in trial.settings}, "ms")


def _pareto_chart(trial: Trial, costs: dict[int, float | None], unit: str) -> str:
    known = [
        (cost, one.group.top1, one)
        for one in trial.settings
        if (cost := costs[one.number]) is not None and one.group.top1 is not None
    ]
    if not known:
        return ""
    best = front([(cost, top1) for cost, top1, _ in known])
    others = [place for place in range(len(known)) if place not in best]
    points = [
        _pareto_point(*known[place], unit, on_front=place in best) for place in (*best, *others)
    ]
    line = Curve(tuple(known[place][:2] for place in best))
    title = f"Top-1 of each setting against {unit}; a line through those that no other beats"
    return scatter_chart(points, [line], title=title, axes=Axes(unit, "top-1 %"))


def _pareto_point(
    cost: float, top1: float, setting: Setting, unit: str, *, on_front: bool
) -> Point:
    spread = setting.group.sd or 0.0
    deviation = f" \N{PLUS-MINUS SIGN} {spread:.1f}" if spread else ""
    return Point(
        cost,
        top1,
        f"{setting.number}: {setting.changes}: {top1:.1f}{deviation} %, {cost:.3g} {unit}",
        setting.name,
        f"#{setting.number}",
        series=1 if on_front else 0,
        hollow=on_front,
        up=(top1 - spread, top1 + spread),
    )
