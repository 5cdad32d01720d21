"""Which charts the page has, and what is noted below them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_fgir.reporting.charts import Bar, Group, bar_chart, line_chart
from edge_fgir.reporting.comparison import Comparison
from edge_fgir.reporting.rows import measured_with, replay_note
from edge_fgir.reporting.scatter import Axes, Curve, Point, scatter_chart
from edge_fgir.reporting.svg import SERIES
from edge_fgir.reporting.sweeps import SweepRow, SweepTable, front
from edge_fgir.reporting.units import milliseconds, percent
from edge_fgir.results import Latency, Percentiles, Training

_FRAME, _NETWORK, _BASELINE = 1, 2, 0
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
    baselines = dict.fromkeys(each.baseline.name for each in latencies if each.baseline)
    legend += [(_BASELINE, f"{name}, network alone, same run") for name in baselines]
    groups = [_latency_group(each) for each in latencies]
    svg = bar_chart(groups, title="Latency of each bundle, milliseconds", unit="ms")
    return Figure(svg, tuple(legend))


def _latency_group(latency: Latency) -> Group:
    bars = [
        _latency_bar("frame to decision", latency.scopes.frame_to_decision, _FRAME),
        _latency_bar("network alone", latency.scopes.network, _NETWORK),
    ]
    if latency.baseline:
        bars.append(_latency_bar(latency.baseline.name, latency.baseline, _BASELINE))
    known = latency.engine if latency.host is None else measured_with(latency)
    return Group(latency.title, known, tuple(bars))


def _latency_bar(name: str, latency: Percentiles, series: int) -> Bar:
    p50, p90, p99 = map(milliseconds, (latency.p50_ms, latency.p90_ms, latency.p99_ms))
    tip = f"{name}: p50 {p50}, p90 {p90}, p99 {p99} ms, {latency.n} runs"
    return Bar(latency.p50_ms, f"{p50} (p99 {p99})", series, tip, tail=latency.p99_ms)


def latency_notes(latencies: Sequence[Latency]) -> list[str]:
    """Return what a reader must know before trusting the latencies."""
    titles: dict[str, list[str]] = {}
    for latency in latencies:
        for remark in _remarks(latency):
            place = "" if latency.host is None else f" on {latency.host}"
            titles.setdefault(remark, []).append(f"{latency.title}{place}")
    return [f"{', '.join(dict.fromkeys(of))}: {remark}." for remark, of in titles.items()]


def _remarks(latency: Latency) -> list[str]:
    reasons = f": {'; '.join(latency.uncertified_because)}" if latency.uncertified_because else ""
    remarks = ["certified" if latency.certified else f"not certified{reasons}", *_facts(latency)]
    machine = latency.environment
    if machine.cpus and (machine.load_1min or 0) > _BUSY * machine.cpus:
        remarks.append(
            f"the machine was busy with other work (load {machine.load_1min:g} on "
            f"{machine.cpus} CPUs), so the latencies are longer than they need be"
        )
    remarks += [f"{name} had not settled after the warm-up" for name in _unsettled(latency)]
    if replay_note(latency):
        remarks.append(replay_note(latency))
    return remarks


def _facts(latency: Latency) -> list[str]:
    facts = []
    if latency.fixed_rate:
        rate = latency.fixed_rate
        facts.append(
            f"{percent(100 * rate.missed)} of {rate.frames} frames missed their deadline at "
            f"{rate.fps:g} frames/s; busy {percent(100 * rate.duty)} of the time"
        )
    if latency.sustained:
        facts.append(
            f"sustained, the median ended at {latency.sustained.drift:.2f} times what it began with"
        )
    if latency.energy.joules_per_frame is not None:
        facts.append(
            f"{1e3 * latency.energy.joules_per_frame:.3g} mJ a frame beyond idling at "
            f"{latency.energy.idle_watts:.3g} W ({latency.energy.meter})"
        )
    if latency.peak_memory_mb is not None:
        facts.append(f"at most {latency.peak_memory_mb:.0f} MiB of memory for the whole process")
    return facts


def sustained_chart(latency: Latency) -> str:
    """Draw the median of frame to decision by window; '' where that is no line."""
    run = latency.sustained
    if run is None or len(run.p50_ms) < 2:
        return ""
    points = [(i * run.window_s, value) for i, value in enumerate(run.p50_ms, 1)]
    title = "Median from frame to decision by second, milliseconds"
    return line_chart(points, title=title, digits=2, across="second")


def _unsettled(latency: Latency) -> list[str]:
    measured = {
        "frame to decision": latency.scopes.frame_to_decision,
        "network": latency.scopes.network,
    }
    if latency.baseline:
        measured[latency.baseline.name] = latency.baseline
    return [name for name, each in measured.items() if not each.steady]


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
    for series, (row, evaluation) in enumerate(
        zip(comparison.rows, comparison.evaluations, strict=True)
    ):
        value = evaluation.classes[index].top1 or 0.0
        tip = f"{name}, {row.title}: {percent(value)}"
        bars.append(Bar(value, f"{value:.0f}", series, tip))
    return Group(name, f"{images} {'image' if images == 1 else 'images'}", tuple(bars))


def loss_chart(training: Training) -> str:
    """Draw the loss by epoch; '' where that is no line."""
    points = [(line.epoch, line.loss) for line in training.history if line.loss is not None]
    return line_chart(points, title="Training loss by epoch", digits=2) if len(points) > 1 else ""


def accuracy_chart(training: Training) -> str:
    """Draw the validation top-1 by epoch; '' where that is no line."""
    points = [(line.epoch, line.val_top1) for line in training.history if line.val_top1 is not None]
    title = "Validation top-1 by epoch, percent"
    return line_chart(points, title=title, digits=1) if len(points) > 1 else ""


def macs_chart(sweep: SweepTable) -> str:
    """Draw top-1 against multiply-accumulates; '' where nothing is known."""
    return _pareto_chart(sweep, {row.number: row.group.gmacs for row in sweep.rows}, "GMACs")


def milliseconds_chart(sweep: SweepTable) -> str:
    """Draw top-1 against measured milliseconds; '' where nothing was measured."""
    return _pareto_chart(sweep, {row.number: row.group.ms for row in sweep.rows}, "ms")


def _pareto_chart(sweep: SweepTable, costs: dict[int, float | None], unit: str) -> str:
    known = [
        (cost, row.group.top1, row)
        for row in sweep.rows
        if (cost := costs[row.number]) is not None and row.group.top1 is not None
    ]
    if not known:
        return ""
    best = front([(cost, top1) for cost, top1, _ in known])
    others = [index for index in range(len(known)) if index not in best]
    points = [
        _pareto_point(*known[index], unit, on_front=index in best) for index in (*best, *others)
    ]
    line = Curve(tuple(known[index][:2] for index in best))
    title = f"Top-1 of each setting against {unit}; a line through those that no other beats"
    return scatter_chart(points, [line], title=title, axes=Axes(unit, "top-1 %"))


def _pareto_point(cost: float, top1: float, row: SweepRow, unit: str, *, on_front: bool) -> Point:
    spread = row.group.sd or 0.0
    deviation = f" \N{PLUS-MINUS SIGN} {spread:.1f}" if spread else ""
    return Point(
        cost,
        top1,
        f"{row.number}: {row.changes}: {top1:.1f}{deviation} %, {cost:.3g} {unit}",
        row.name,
        f"#{row.number}",
        series=1 if on_front else 0,
        hollow=on_front,
        up=(top1 - spread, top1 + spread),
    )
