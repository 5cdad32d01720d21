"""The main table: one row a model, its accuracy and its latency brought together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_fgir.reporting.documents import Evaluation, Latency, Percentiles, Subject

TORCH = "torch"

# Targets whose device only their own runtime reaches: anything else is a replay.
_DEVICE_OF = {"jetson": ("tensorrt", "Jetson")}


@dataclass(frozen=True)
class Timing:
    """One measurement of a row.

    Attributes:
        network: The model alone.
        frame: From a camera frame to the label; None for torch, which is measured alone.
        times_faster: Than torch eager in the same run, by the medians of the network scope.
        beside: For torch, the bundle it was measured beside.
    """

    network: Percentiles
    frame: Percentiles | None = None
    times_faster: float | None = None
    beside: str = ""


@dataclass(frozen=True)
class Row:
    """One model.

    Attributes:
        title: Target and precision; more where that is not unique.
        subject: The result that names it.
        model_bytes: Size of the model file or files.
        evaluation: Its accuracy, if it was evaluated.
        baseline: The torch evaluation of the same model on the same images.
        timings: Every measurement of it.
    """

    title: str
    subject: Subject
    model_bytes: int
    evaluation: Evaluation | None = None
    baseline: Evaluation | None = None
    timings: tuple[Timing, ...] = ()

    @property
    def is_torch(self) -> bool:
        """Whether this is the trained model itself, not a bundle."""
        return self.subject.target == TORCH

    @property
    def change(self) -> float | None:
        """Top-1 against torch, points; negative where the bundle lost accuracy."""
        if self.evaluation is None or self.baseline is None:
            return None
        return self.evaluation.top1 - self.baseline.top1

    @property
    def times_smaller(self) -> float | None:
        """Size of the torch weights over the size of this model."""
        if self.baseline is None or not self.model_bytes:
            return None
        return self.baseline.model_bytes / self.model_bytes

    @property
    def times_faster(self) -> float | None:
        """The first measured ratio to torch eager."""
        found = (timing.times_faster for timing in self.timings)
        return next((value for value in found if value is not None), None)

    @property
    def note(self) -> str:
        """What must not be overlooked about where this ran."""
        return replay_note(self.subject)

    @property
    def untimed(self) -> str:
        """What stands in place of a latency."""
        if self.note:
            return f"not measured (no {_DEVICE_OF[self.subject.target][1]} here)"
        return "not measured"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        found = self.evaluation
        return {
            "model": self.title,
            "bundle": self.subject.bundle,
            "engine": self.subject.engine,
            "note": self.note,
            "images": found.images if found else None,
            "top1": found.top1 if found else None,
            "top5": found.top5 if found else None,
            "macro": found.macro if found else None,
            "ece": found.ece if found else None,
            "points_vs_torch": self.change,
            "model_bytes": self.model_bytes,
            "times_smaller": self.times_smaller,
            "latencies": [_timing_dict(timing) for timing in self.timings],
        }


def _timing_dict(timing: Timing) -> dict[str, Any]:
    return {
        "frame_to_decision": timing.frame.model_dump() if timing.frame else None,
        "network": Percentiles.model_dump(timing.network, include=set(Percentiles.model_fields)),
        "times_faster": timing.times_faster,
        "beside": timing.beside,
    }


def replay_note(subject: Subject) -> str:
    """Return a warning where the model did not run on the device it is made for, else ''."""
    runtime, device = _DEVICE_OF.get(subject.target, ("", ""))
    engine = subject.engine.split()[0] if subject.engine.split() else "another runtime"
    if engine.startswith(runtime):
        return ""
    return f"replayed in {engine}, not measured on a {device}"


def make_rows(evaluations: Sequence[Evaluation], latencies: Sequence[Latency]) -> tuple[Row, ...]:
    """Return one row an evaluation, then one a bundle that was only measured; torch first."""
    rows = [_evaluated(one, evaluations, latencies) for one in evaluations]
    seen = {_place(one) for one in evaluations}
    for latency in latencies:
        if _place(latency) not in seen:
            seen.add(_place(latency))
            own = _bundle_timings(latency, latencies)
            rows.append(Row(latency.title, latency, latency.model_bytes, timings=own))
    return tuple(_with_unique_titles(sorted(rows, key=lambda row: not row.is_torch)))


def _evaluated(
    found: Evaluation, evaluations: Iterable[Evaluation], latencies: Iterable[Latency]
) -> Row:
    if found.target == TORCH:
        timings = _torch_timings(found, latencies)
        return Row(found.title, found, found.model_bytes, found, timings=timings)
    return Row(
        found.title,
        found,
        found.model_bytes,
        found,
        _baseline(found, evaluations),
        _bundle_timings(found, latencies),
    )


def _baseline(found: Evaluation, evaluations: Iterable[Evaluation]) -> Evaluation | None:
    for other in evaluations:
        same = (other.name, other.images_key) == (found.name, found.images_key)
        if same and other.target == TORCH:
            return other
    return None


def _bundle_timings(subject: Subject, latencies: Iterable[Latency]) -> tuple[Timing, ...]:
    # A replay's speed says nothing about the device, so it does not enter that device's row.
    if replay_note(subject):
        return ()
    return tuple(
        Timing(
            one.scopes.network,
            one.scopes.frame_to_decision,
            one.rival.times_slower if one.rival else None,
        )
        for one in latencies
        if _place(one) == _place(subject)
    )


def _torch_timings(subject: Subject, latencies: Iterable[Latency]) -> tuple[Timing, ...]:
    return tuple(
        Timing(one.rival, beside=one.title)
        for one in latencies
        if one.rival is not None and one.name == subject.name
    )


def _place(subject: Subject) -> Path:
    return Path(subject.bundle)


def _with_unique_titles(rows: list[Row]) -> list[Row]:
    count = Counter(row.title for row in rows)
    return [row if count[row.title] == 1 else replace(row, title=_long_title(row)) for row in rows]


def _long_title(row: Row) -> str:
    split = f", {row.evaluation.split}" if row.evaluation else ""
    return f"{row.title} ({row.subject.bundle}{split})"
