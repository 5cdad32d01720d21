"""The main table's rows: one a model, its accuracy and its latency brought together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_fgir.results import Evaluation, Latency, Percentiles, Subject
from edge_fgir.runtime import (
    RuntimeSpec,
    find_runtime,
    read_target_info,
    target_names,
    variant_name,
)

TORCH = "torch"


@dataclass(frozen=True)
class Timing:
    """One measurement of a row.

    Attributes:
        network: The model alone.
        frame: From a camera frame to the label; None for torch, which is measured alone.
        times_faster: Than torch eager in the same run, by the medians of the network scope.
        beside: For torch, the bundle it was measured beside.
        where: With what, and on which device, where a row has several or it was over ssh.
    """

    network: Percentiles
    frame: Percentiles | None = None
    times_faster: float | None = None
    beside: str = ""
    where: str = ""


@dataclass(frozen=True)
class Row:
    """One model.

    Attributes:
        title: Target and precision; more where that is not unique.
        subject: The result that names it.
        model_bytes: Size of the model file or files.
        evaluation: Its accuracy, if it was evaluated.
        torch: The torch evaluation of the same model at the same setting on the same images, for
            a bundle.
        timings: Every measurement of it.
    """

    title: str
    subject: Subject
    model_bytes: int
    evaluation: Evaluation | None = None
    torch: Evaluation | None = None
    timings: tuple[Timing, ...] = ()

    @property
    def is_torch(self) -> bool:
        """Whether this is the trained model itself, not a bundle."""
        return self.subject.target == TORCH

    @property
    def change(self) -> float | None:
        """Top-1 against torch, points; negative where the bundle lost accuracy."""
        if self.evaluation is None or self.torch is None:
            return None
        return self.evaluation.top1 - self.torch.top1

    @property
    def times_smaller(self) -> float | None:
        """Size of the torch weights over the size of this model."""
        if self.torch is None or not self.model_bytes:
            return None
        return self.torch.model_bytes / self.model_bytes

    @property
    def times_faster(self) -> float | None:
        """The first measured ratio to torch eager."""
        ratios = (timing.times_faster for timing in self.timings)
        return next((ratio for ratio in ratios if ratio is not None), None)

    @property
    def note(self) -> str:
        """What must not be overlooked about where this ran."""
        return replay_note(self.subject)

    @property
    def untimed(self) -> str:
        """What stands in place of a latency."""
        runtime = _own_runtime(self.subject)
        if self.note and runtime is not None:
            return f"not measured (no {runtime.hardware} here)"
        return "not measured"


def replay_note(subject: Subject) -> str:
    """Return a warning where the model did not run on the device it is made for, else ''."""
    runtime = _own_runtime(subject)
    engine = subject.engine.split()[0] if subject.engine.split() else "another runtime"
    if runtime is None or not runtime.hardware or engine.startswith(runtime.library):
        return ""
    return f"replayed in {engine}, not measured on a {runtime.hardware}"


def _own_runtime(subject: Subject) -> RuntimeSpec | None:
    """Return the runtime of a result's target; None for torch and for targets unknown here."""
    if subject.target not in target_names():
        return None
    return find_runtime(read_target_info(subject.target).runtime)


def make_rows(evaluations: Sequence[Evaluation], latencies: Sequence[Latency]) -> tuple[Row, ...]:
    """Return one row an evaluation, then one a model that was only measured; torch first."""
    rows = [_evaluated(each, evaluations, latencies) for each in evaluations]
    models = {_model_of(each) for each in evaluations}
    for latency in latencies:
        if _model_of(latency) not in models:
            models.add(_model_of(latency))
            timings = _bundle_timings(latency, latencies)
            rows.append(Row(latency.title, latency, latency.model_bytes, timings=timings))
    return tuple(_with_unique_titles(sorted(rows, key=lambda row: not row.is_torch)))


def _model_of(subject: Subject) -> tuple[Path, str | None]:
    """Return what tells a model from others: its bundle, and which of the variants in there."""
    return Path(subject.bundle), subject.variant


def _evaluated(
    evaluation: Evaluation, evaluations: Iterable[Evaluation], latencies: Iterable[Latency]
) -> Row:
    is_torch = evaluation.target == TORCH
    return Row(
        evaluation.title,
        evaluation,
        evaluation.model_bytes,
        evaluation,
        None if is_torch else _torch_of(evaluation, evaluations),
        _torch_timings(evaluation, evaluations, latencies)
        if is_torch
        else _bundle_timings(evaluation, latencies),
    )


def _torch_of(bundle: Evaluation, evaluations: Iterable[Evaluation]) -> Evaluation | None:
    def likeness(each: Evaluation) -> tuple[object, ...]:
        return each.name, each.images_key, each.image_size

    alike = [
        other
        for other in evaluations
        if other.target == TORCH
        and likeness(other) == likeness(bundle)
        and _may_be(bundle.variant, other)
    ]
    # A bundle does not say which run of a recipe it is of, what its tokens are reduced by, or how
    # its logits were adjusted: of several ways to ask torch none can be called the bundle's own.
    ways = [
        (Path(other.bundle), other.reduction, other.logit_adjustment, other.engine)
        for other in alike
    ]
    return alike[0] if alike and all(way == ways[0] for way in ways) else None


def _may_be(variant: str | None, torch: Evaluation) -> bool:
    """Say whether a variant has torch's keep rate, as far as its name tells one."""
    if variant is None or ":" not in variant:
        return True
    told: Any = (torch.reduction or {}).get("keep_rate")
    rates = tuple(each for each in (told if isinstance(told, list) else [told]) if _is_rate(each))
    return variant == variant_name(torch.image_size, rates or None)


def _is_rate(value: object) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)


def _bundle_timings(subject: Subject, latencies: Iterable[Latency]) -> tuple[Timing, ...]:
    # A replay's speed says nothing about the device, so it does not enter that device's row.
    if replay_note(subject):
        return ()
    own = [latency for latency in latencies if _model_of(latency) == _model_of(subject)]
    return tuple(
        Timing(
            latency.scopes.network,
            latency.scopes.frame_to_decision,
            latency.baseline.times_slower if latency.baseline else None,
            where=measured_with(latency) if len(own) > 1 or latency.host is not None else "",
        )
        for latency in own
    )


def measured_with(latency: Latency) -> str:
    """Return what computed and on which machine, which a bundle's title does not tell."""
    return f"{latency.engine}, {latency.host or latency.environment.processor}"


def _torch_timings(
    subject: Evaluation, evaluations: Iterable[Evaluation], latencies: Iterable[Latency]
) -> tuple[Timing, ...]:
    def network(each: Subject) -> tuple[object, ...]:
        return each.name, each.image_size

    runs = {
        Path(each.bundle)
        for each in evaluations
        if each.target == TORCH and network(each) == network(subject)
    }
    if len(runs) > 1:  # a bundle does not say which run of a recipe it is of
        return ()
    return tuple(
        Timing(latency.baseline, beside=latency.title)
        for latency in latencies
        if latency.baseline is not None and network(latency) == network(subject)
    )


def _with_unique_titles(rows: list[Row]) -> list[Row]:
    count = Counter(row.title for row in rows)
    return [row if count[row.title] == 1 else replace(row, title=_long_title(row)) for row in rows]


def _long_title(row: Row) -> str:
    variant = f" at {row.subject.variant}" if row.subject.variant is not None else ""
    split = f", {row.evaluation.split}" if row.evaluation else ""
    return f"{row.title} ({row.subject.bundle}{variant}{split})"
