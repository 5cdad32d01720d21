"""What a profile found, in words: its outcome, its tiles, what is noted about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge_fgir.reporting.units import duration, milliseconds, percent, points
from edge_fgir.results import CostStep, LatencyFit, Profile, ProfilePoint

_SCOPES = {"frame_to_decision": "frame to decision", "network": "network alone"}
_OTHERS = (0.5, 2.0)
"""Budgets that the asked one is compared with, in times of it."""


@dataclass(frozen=True)
class Tile:
    """A number that is shown large, its name above and what must be known about it below."""

    name: str
    number: str
    note: str


def title_of(profile: Profile, point: ProfilePoint) -> str:
    """Return a point's setting, with as much of run and precision as it takes to be told apart."""
    run = f"{point.run}, " if len(profile.runs) > 1 else ""
    several = len({each.precision for each in profile.points}) > 1
    return f"{run}{point.name}{f', {point.precision}' if several else ''}"


def scope_of(profile: Profile) -> str:
    """Return what the latencies are of."""
    return _SCOPES[profile.scope]


def outcome_of(profile: Profile) -> str:
    """Say in one sentence what was chosen; '' where nothing was."""
    chosen = profile.chosen
    if chosen is None:
        return ""
    word = "predicted for" if profile.measured else "estimated for"
    word = "measured on" if chosen.measured is not None else word
    took = f"{milliseconds(chosen.median_ms)} ms {word} {profile.device_name}"
    budget = profile.budget.text
    bounds = f", for a budget of {budget}" if budget else ""
    reached = f"{percent(chosen.accuracy.top1)} validation top-1 in {took}"
    return f"{chosen.run} at {chosen.name}, {chosen.precision}: {reached}{bounds}"


def tiles_of(profile: Profile) -> list[Tile]:
    """Return the chosen point in numbers; none where nothing was chosen."""
    chosen = profile.chosen
    if chosen is None:
        return []
    accuracy = chosen.accuracy
    margin = f"{accuracy.low:.0f} to {accuracy.high:.0f} %, {_images(profile)}"
    tiles = [
        Tile("top-1 accuracy", percent(accuracy.top1), margin),
        _latency_tile(profile, chosen),
    ]
    if profile.budget.text:
        first, *others = profile.budget.text.split(", ")
        tiles.append(Tile("budget", first, ", ".join(others) or _to_spare(profile, chosen)))
    for run, model in profile.models:
        if (run.name, model.precision) == (chosen.run, chosen.precision):
            tiles += _model_tiles(model)
    return tiles


def _latency_tile(profile: Profile, point: ProfilePoint) -> Tile:
    scope, measured = scope_of(profile), point.measured
    if measured is not None:
        certified = "certified" if measured.certified else "not certified"
        note = f"99 of 100 within {milliseconds(measured.p99_ms)} ms; {certified}"
        return Tile(f"{scope}, median", f"{milliseconds(measured.p50_ms)} ms", note)
    word = "predicted" if profile.measured else "estimate"
    note = f"{interval_of(point)} ms; nothing was measured"
    return Tile(f"{scope}, {word}", f"{milliseconds(point.median_ms)} ms", note)


def interval_of(point: ProfilePoint) -> str:
    """Return the ends of a prediction's interval; '' without one."""
    predicted = point.predicted
    return (
        f"{milliseconds(predicted.low)} to {milliseconds(predicted.high)}"
        if predicted is not None
        else ""
    )


def _to_spare(profile: Profile, point: ProfilePoint) -> str:
    bound, measured = profile.budget.latency_ms, point.measured
    if bound is None or measured is None:
        return ""
    left = bound - (measured.p99_ms if profile.budget.percentile == "p99" else measured.p50_ms)
    return f"{milliseconds(abs(left))} ms {'to spare' if left >= 0 else 'too much'}"


def _model_tiles(model: LatencyFit) -> Iterator[Tile]:
    if model.error_percent is not None and model.probes:
        note = f"of a left out probe; {len(model.probes)} in {duration(model.seconds)}"
        yield Tile("error of the latency model", percent(model.error_percent), note)


def price_of(profile: Profile) -> str:
    """Say what half and twice the latency budget would come to; '' where that is not known."""
    bound = profile.budget.latency_ms
    if bound is None:
        return ""
    here = _best_within(profile.costs, bound)
    if here is None:
        return ""
    sentences = []
    for times, named in zip(_OTHERS, ("Half", "Twice"), strict=True):
        other = _best_within(profile.costs, times * bound)
        if other is None:
            sentences.append(f"{named} the budget, {times * bound:g} ms: nothing is that fast.")
        else:
            change = other.top1 - here.top1
            sentences.append(f"{named} the budget, {times * bound:g} ms: {points(change)} points.")
    return " ".join(sentences)


def _best_within(costs: Sequence[CostStep], bound: float) -> CostStep | None:
    within = [step for step in costs if step.latency_ms <= bound]
    return max(within, key=lambda step: step.top1, default=None)


def notes_of(profile: Profile) -> list[str]:
    """Return what a reader must know before trusting the figures."""
    notes = []
    chosen = profile.chosen
    margin = chosen.accuracy if chosen is not None else profile.points[0].accuracy
    notes.append(
        f"Top-1 is on {_images(profile)} of {profile.data.name}, which tell it to about "
        f"\N{PLUS-MINUS SIGN} {(margin.high - margin.low) / 2:.0f} points (95 %). The choice was "
        "made by them, so expect a little less on other images."
    )
    if profile.test is not None:
        test = profile.test
        notes.append(
            f"On {test.images} {test.split} images, by which nothing was chosen, the chosen "
            f"bundle reaches {percent(test.top1)}."
        )
    kinds = {point.accuracy_of for point in profile.points}
    if len(kinds) > 1:
        notes.append("Top-1 of what was built is the bundle's, of all others the run's in torch.")
    measured = [point.measured for point in profile.points if point.measured is not None]
    doubtful = sum(not each.certified for each in measured)
    if doubtful:
        count = "No measurement" if doubtful == len(measured) else f"{doubtful} of the measurements"
        verb = "is certified" if doubtful == len(measured) else "are not certified"
        notes.append(f"{count} {verb}: clocks, heat and other work were not all watched and quiet.")
    if profile.budget.percentile == "p99":
        notes.append("The budget is for the 99th percentile; predictions and axes are of medians.")
    beyond = sum(profile.is_beyond(point) for point in profile.points)
    if beyond:
        notes.append(f"{beyond} of {len(profile.points)} settings are beyond the budget.")
    return notes


def _images(profile: Profile) -> str:
    return f"{profile.images} validation {'image' if profile.images == 1 else 'images'}"
