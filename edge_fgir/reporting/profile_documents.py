"""A ``profile`` result: what a device's budget allows, and what was measured to say so."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, FiniteFloat, model_validator

from edge_fgir.reporting.body import Body, Part
from edge_fgir.runtime.manifest import DataInfo


class Bounds(Part):
    """A budget; None: no bound."""

    latency_ms: FiniteFloat | None = Field(None, gt=0)
    percentile: Literal["p50", "p99"] = "p50"
    memory_mb: FiniteFloat | None = None
    energy_mj: FiniteFloat | None = None
    size_mb: FiniteFloat | None = None
    min_accuracy: FiniteFloat | None = None

    @property
    def all_of_it(self) -> str:
        """Every bound, for a sentence; '' without any."""
        named = (
            (self.latency_ms, f"ms ({self.percentile})"),
            (self.memory_mb, "MB of memory"),
            (self.energy_mj, "mJ a frame"),
            (self.size_mb, "MB of model files"),
            (self.min_accuracy, "% top-1 at least"),
        )
        return ", ".join(f"{value:g} {unit}" for value, unit in named if value is not None)


class Staircase(Part):
    """What one block takes, milliseconds, by its tokens."""

    tokens: tuple[int, ...] = Field(min_length=1)
    block_ms: tuple[FiniteFloat, ...]

    @model_validator(mode="after")
    def _even(self) -> Staircase:
        if len(self.tokens) != len(self.block_ms):
            raise ValueError("tokens and block_ms must be equally many")
        return self


class Probe(Part):
    """One measurement that a latency model was fitted to, and what the model says of it."""

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
    def off(self) -> tuple[float, float, float]:
        """The prediction and its interval against what was measured, percent."""
        ends = (self.predicted_ms, self.low_ms, self.high_ms)
        value, low, high = (100 * (end / self.ms - 1) for end in ends)
        return value, low, high

    @property
    def is_within(self) -> bool:
        """Whether the interval holds what was measured."""
        return self.low_ms <= self.ms <= self.high_ms


class LatencyModel(Part):
    """What predicts the latency of a run in one precision.

    ``error_percent`` is that of a probe which was left out; ``estimate``: nothing was measured.
    """

    precision: str
    fingerprint: str = ""
    error_percent: FiniteFloat | None = None
    seconds: FiniteFloat = 0.0
    estimate: bool = False
    staircase: Staircase | None = None
    probes: tuple[Probe, ...] = ()

    @property
    def steady(self) -> tuple[Probe, ...]:
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


class ProfiledRun(Part):
    """A run, and its latency models by precision."""

    name: str
    architecture: str
    params: int
    models: tuple[LatencyModel, ...] = ()


class Knobs(Part):
    """What a point's model runs at; None: the model's own."""

    image_size: int
    keep_rate: FiniteFloat | tuple[FiniteFloat, ...] | None = None
    method: str | None = None


class Predicted(Part):
    """A predicted latency and its 95 % interval, milliseconds."""

    ms: FiniteFloat = Field(ge=0)
    low: FiniteFloat
    high: FiniteFloat


class Measured(Part):
    """A latency measured on the device, milliseconds."""

    p50_ms: FiniteFloat = Field(gt=0)
    p99_ms: FiniteFloat = Field(gt=0)
    certified: bool = False


class TopOne(Part):
    """Top-1 on the validation images and its 95 % interval, percent."""

    top1: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat


class ProfilePoint(Part):
    """A run at a setting in a precision: one candidate; ``fits`` is None where nobody said."""

    run: str
    name: str
    setting: Knobs
    precision: str
    predicted: Predicted | None = None
    measured: Measured | None = None
    accuracy: TopOne
    accuracy_of: Literal["torch", "bundle"] = "torch"
    role: Literal["chosen", "runner-up", ""] = ""
    fits: bool | None = None

    @model_validator(mode="after")
    def _timed(self) -> ProfilePoint:
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


class CostStep(Part):
    """The most accurate point within a latency; ``point`` is its place among the points."""

    latency_ms: FiniteFloat
    top1: FiniteFloat
    point: int = Field(ge=0)


class HeldOut(Part):
    """What the chosen point reaches on images that nothing was chosen by."""

    split: str = "test"
    top1: FiniteFloat
    images: int = Field(gt=0)


class Profile(Body):
    """A ``profile`` result; not ``measured``: all its latencies are estimates."""

    device: str
    device_name: str
    target: str
    measured: bool
    scope: str
    budget: Bounds
    data: DataInfo
    images: int = Field(gt=0)
    runs: tuple[ProfiledRun, ...] = Field(min_length=1)
    points: tuple[ProfilePoint, ...] = Field(min_length=1)
    costs: tuple[CostStep, ...] = ()
    why: str = ""
    test: HeldOut | None = None
    seconds: FiniteFloat = 0.0

    @model_validator(mode="after")
    def _sound(self) -> Profile:
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
    def use(self) -> str:
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
        ranked = [point for point in self.points if point.role == "runner-up"]
        return (self.chosen, *ranked) if self.chosen else tuple(ranked)

    @property
    def models(self) -> tuple[tuple[ProfiledRun, LatencyModel], ...]:
        """Every latency model with its run."""
        return tuple((run, model) for run in self.runs for model in run.models)

    @property
    def disturbed(self) -> int:
        """How many probes of all models were disturbed."""
        return sum(model.disturbed for _, model in self.models)

    def is_beyond(self, point: ProfilePoint) -> bool:
        """Return whether a point is beyond the budget, as far as that is known."""
        if point.fits is not None:
            return not point.fits
        bound, found = self.budget.latency_ms, point.measured
        if bound is None:
            return False
        tail = self.budget.percentile == "p99" and found is not None
        return (found.p99_ms if found is not None and tail else point.median_ms) > bound
