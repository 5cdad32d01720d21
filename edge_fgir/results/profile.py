"""What a device's budget allows, and what was measured to say so."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, FiniteFloat, model_validator

from edge_fgir.results.base import Record, Result
from edge_fgir.results.budget import Budget
from edge_fgir.results.evaluation import TopOne
from edge_fgir.results.latency import Scope
from edge_fgir.runtime import DataInfo


class Staircase(Record):
    """What one block takes, milliseconds, by its tokens."""

    tokens: tuple[int, ...] = Field(min_length=1)
    block_ms: tuple[FiniteFloat, ...]

    @model_validator(mode="after")
    def _equally_many(self) -> Staircase:
        if len(self.tokens) != len(self.block_ms):
            raise ValueError("tokens and block_ms must be equally many")
        return self


class ProbeFit(Record):
    """One measurement that a latency model was fitted to, and what the model says of it.

    Attributes:
        name: The setting, for people.
        image_size: Side of the input, pixels.
        tokens: That all blocks see together.
        pixels: Of the input.
        ms: Measured.
        predicted_ms: By the model.
        low_ms: End of the prediction's 95 % interval.
        high_ms: Its other end.
        disturbed: Other work was seen while it was measured.
    """

    name: str
    image_size: int
    tokens: int
    pixels: int
    ms: FiniteFloat = Field(gt=0)
    predicted_ms: FiniteFloat
    low_ms: FiniteFloat
    high_ms: FiniteFloat
    disturbed: bool = False

    @property
    def deviation(self) -> tuple[float, float, float]:
        """The prediction and its interval against what was measured, percent."""
        ends = (self.predicted_ms, self.low_ms, self.high_ms)
        value, low, high = (100 * (end / self.ms - 1) for end in ends)
        return value, low, high

    @property
    def is_within(self) -> bool:
        """Whether the interval holds what was measured."""
        return self.low_ms <= self.ms <= self.high_ms


class LatencyFit(Record):
    """What predicts the latency of a run in one precision.

    Attributes:
        precision: Which.
        fingerprint: Of the device; empty for an estimate.
        error_percent: Of a probe that was left out; None: not known.
        seconds: That probing took.
        estimate: It follows from a data sheet: nothing was measured.
        staircase: Of a transformer's block; None for other networks.
        probes: The measurements.
    """

    precision: str
    fingerprint: str = ""
    error_percent: FiniteFloat | None = None
    seconds: FiniteFloat = 0.0
    estimate: bool = False
    staircase: Staircase | None = None
    probes: tuple[ProbeFit, ...] = ()

    @property
    def steady(self) -> tuple[ProbeFit, ...]:
        """The probes that nothing disturbed."""
        return tuple(probe for probe in self.probes if not probe.disturbed)

    @property
    def disturbed(self) -> int:
        """How many probes were disturbed."""
        return len(self.probes) - len(self.steady)

    @property
    def within(self) -> int:
        """How many steady probes lie within the interval of their prediction."""
        return sum(probe.is_within for probe in self.steady)


class ProfiledRun(Record):
    """A run, and what predicts its latency by precision."""

    name: str
    architecture: str
    params: int
    models: tuple[LatencyFit, ...] = ()


class PointSetting(Record):
    """What a point's model runs at; None: the model's own."""

    image_size: int
    keep_rate: FiniteFloat | tuple[FiniteFloat, ...] | None = None
    method: str | None = None


class PredictedLatency(Record):
    """A predicted latency and its 95 % interval, milliseconds."""

    ms: FiniteFloat = Field(ge=0)
    low: FiniteFloat
    high: FiniteFloat


class MeasuredLatency(Record):
    """A latency measured on the device, milliseconds."""

    p50_ms: FiniteFloat = Field(gt=0)
    p99_ms: FiniteFloat = Field(gt=0)
    certified: bool = False


class ProfilePoint(Record):
    """One candidate: a run at a setting in a precision.

    Attributes:
        run: Its name.
        name: The setting, for people.
        setting: The same as values.
        precision: What it computes in.
        predicted: By the run's latency model.
        measured: On the device.
        accuracy: On the validation images.
        accuracy_of: What that is of: the run in torch, or the exported bundle.
        role: ``chosen``, ``runner-up`` or empty.
    """

    run: str
    name: str
    setting: PointSetting
    precision: str
    predicted: PredictedLatency | None = None
    measured: MeasuredLatency | None = None
    accuracy: TopOne
    accuracy_of: Literal["torch", "bundle"] = "torch"
    role: Literal["chosen", "runner-up", ""] = ""

    @model_validator(mode="after")
    def _has_a_latency(self) -> ProfilePoint:
        if self.predicted is None and self.measured is None:
            raise ValueError("a point must be predicted or measured")
        return self

    @property
    def median_ms(self) -> float:
        """What it takes: measured, where it was, else predicted."""
        if self.measured is not None:
            return self.measured.p50_ms
        assert self.predicted is not None
        return self.predicted.ms


class CostStep(Record):
    """The most accurate point within a latency; ``point`` is its index among the points."""

    latency_ms: FiniteFloat
    top1: FiniteFloat
    point: int = Field(ge=0)


class HeldOut(Record):
    """What the chosen bundle reaches on images that nothing was chosen by."""

    split: str = "test"
    top1: FiniteFloat
    images: int = Field(gt=0)


class Profile(Result):
    """A ``profile`` result.

    Attributes:
        device: ``local``, a descriptor's id, or ``user@host``.
        device_name: The same for people.
        target: Export target.
        measured: Something ran on the device; else all latencies are estimates.
        scope: Of the latencies.
        budget: The bounds.
        data: The data set.
        images: Of its validation split.
        runs: What was profiled.
        points: All candidates.
        costs: The most accurate point for each latency, ascending.
        why: The choice in a sentence.
        test: The chosen bundle on the test split; None where there is none.
        seconds: That all of it took.
    """

    kind: ClassVar[str] = "profile"

    device: str
    device_name: str
    target: str
    measured: bool
    scope: Scope = "frame_to_decision"
    budget: Budget
    data: DataInfo
    images: int = Field(gt=0)
    runs: tuple[ProfiledRun, ...] = Field(min_length=1)
    points: tuple[ProfilePoint, ...] = Field(min_length=1)
    costs: tuple[CostStep, ...] = ()
    why: str = ""
    test: HeldOut | None = None
    seconds: FiniteFloat = 0.0

    @model_validator(mode="after")
    def _is_consistent(self) -> Profile:
        if {point.run for point in self.points} - {run.name for run in self.runs}:
            raise ValueError("points must be of the runs")
        if any(step.point >= len(self.points) for step in self.costs):
            raise ValueError("costs must name points that exist")
        if sum(point.role == "chosen" for point in self.points) > 1:
            raise ValueError("at most one point can be chosen")
        if not self.measured and any(point.measured for point in self.points):
            raise ValueError("where nothing ran, nothing can have been measured")
        return self

    @property
    def caption(self) -> str:
        """What this result says of what, for a list."""
        kind = "profile of" if self.measured else "estimates for"
        return f"{kind} {self.device_name}"

    @property
    def chosen(self) -> ProfilePoint | None:
        """The point that was chosen."""
        return next((point for point in self.points if point.role == "chosen"), None)

    @property
    def finalists(self) -> tuple[ProfilePoint, ...]:
        """The chosen point and the runners-up, in the order of the file."""
        runners_up = [point for point in self.points if point.role == "runner-up"]
        return (self.chosen, *runners_up) if self.chosen else tuple(runners_up)

    @property
    def models(self) -> tuple[tuple[ProfiledRun, LatencyFit], ...]:
        """Every latency model with its run."""
        return tuple((run, model) for run in self.runs for model in run.models)

    @property
    def disturbed(self) -> int:
        """How many probes of all models were disturbed."""
        return sum(model.disturbed for _, model in self.models)

    def is_beyond(self, point: ProfilePoint) -> bool:
        """Return whether a point is beyond the budget's latency, as far as that is known."""
        bound, measured = self.budget.latency_ms, point.measured
        if bound is None:
            return False
        tail = self.budget.percentile == "p99" and measured is not None
        return (measured.p99_ms if measured is not None and tail else point.median_ms) > bound
