"""From photographs to the best bundle: what was tried, and why this one was chosen."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, FiniteFloat, model_validator

from edge_fgir.results.base import Record, Result
from edge_fgir.results.budget import Budget
from edge_fgir.results.bundle_reports import FrigateReport
from edge_fgir.results.evaluation import Evaluation, TopOne
from edge_fgir.results.latency import Latency, Scope
from edge_fgir.results.profile import MeasuredLatency, PointSetting
from edge_fgir.runtime import DataInfo

FitStage = Literal["probe", "halving", "final", "teacher"]
"""A head on frozen features; a short training among several; the long one; the teacher's."""


class SkippedPicture(Record):
    """A picture that was left out, and why."""

    file: str
    reason: str


class FitData(Record):
    """What was found among the photographs.

    Attributes:
        classes: Their names, in the order of the labels.
        train: Pictures that were learned from.
        val: Pictures that choices were made by.
        test: Pictures that nothing was chosen by.
        train_counts: Training pictures of each class.
        skipped: Pictures that could not be used.
        notes: What else a user should know, one sentence each.
    """

    classes: tuple[str, ...] = Field(min_length=2)
    train: int = Field(gt=0)
    val: int = Field(gt=0)
    test: int = Field(ge=0)
    train_counts: tuple[int, ...] = ()
    skipped: tuple[SkippedPicture, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def imbalance(self) -> float:
        """Training pictures of the largest class over those of the smallest that has any."""
        counts = [count for count in self.train_counts if count]
        return max(counts) / min(counts) if counts else 1.0


class ProbedLatency(Record):
    """What a candidate takes with random weights, before anything is trained.

    Attributes:
        precision: What it computes in.
        ms: Median from frame to decision, milliseconds.
        measured: At this very input size; else interpolated between sizes that were measured.
        fits: It keeps the budget.
    """

    precision: str
    ms: FiniteFloat = Field(gt=0)
    measured: bool = True
    fits: bool


class FitTraining(Record):
    """One training of a candidate, and what it reached on the validation split (in torch).

    Attributes:
        stage: What it was for.
        method: ``probe``, ``ce``, ``kd``, ``tgda`` or ``cal``.
        teacher: Whose soft labels it learned from; empty: none.
        image_size: Side that it was trained at, pixels.
        epochs: Of the recipe; 0: a head alone.
        steps: Optimiser steps.
        seconds: That it took.
        accuracy: Top-1.
        macro: Mean of the classes' accuracies, percent.
        run: Its folder.
    """

    stage: FitStage
    method: str
    teacher: str = ""
    image_size: int
    epochs: int = Field(ge=0)
    steps: int = Field(ge=0)
    seconds: FiniteFloat = Field(ge=0)
    accuracy: TopOne
    macro: FiniteFloat
    run: str


class FitCandidate(Record):
    """A network at an input size and keep rate.

    Attributes:
        name: For people.
        architecture: As timm registers it.
        pretrained: It starts from ImageNet weights; else from scratch.
        setting: Input size, keep rate and reduction method.
        params: Parameters of the network.
        gmacs: Multiply-accumulates of one image, 1e9.
        latencies: By precision.
        trainings: In the order in which they ran; none of what was too slow.
        left_out: Why it went no further; empty for what was exported.
    """

    name: str
    architecture: str
    pretrained: bool
    setting: PointSetting
    params: int = Field(gt=0)
    gmacs: FiniteFloat = Field(ge=0)
    latencies: tuple[ProbedLatency, ...] = ()
    trainings: tuple[FitTraining, ...] = ()
    left_out: str = ""

    @property
    def fits(self) -> bool:
        """Whether it keeps the budget in some precision."""
        return any(each.fits for each in self.latencies)

    @property
    def ms(self) -> float | None:
        """What it takes in the fastest precision, milliseconds."""
        return min((each.ms for each in self.latencies), default=None)

    @property
    def best(self) -> FitTraining | None:
        """Its most accurate training."""
        return max(self.trainings, key=lambda each: each.accuracy.top1, default=None)


class FitPoint(Record):
    """A bundle that was exported and measured.

    Attributes:
        candidate: Place in the list of candidates.
        name: For people.
        setting: What it was exported at.
        precision: What it computes in.
        measured: On the device, from frame to decision.
        network_ms: The compiled model alone, median, milliseconds.
        size_mb: Model files.
        accuracy: Of the bundle on the validation split.
        macro: Mean of the classes' accuracies there, percent.
        agreement: Of its labels with torch's, percent; None: not known.
        fits: It keeps the budget as measured.
        role: ``chosen`` or ``runner-up``.
    """

    candidate: int = Field(ge=0)
    name: str
    setting: PointSetting
    precision: str
    measured: MeasuredLatency
    network_ms: FiniteFloat = Field(gt=0)
    size_mb: FiniteFloat = Field(gt=0)
    accuracy: TopOne
    macro: FiniteFloat
    agreement: FiniteFloat | None = None
    fits: bool
    role: Literal["chosen", "runner-up"]


class FitStep(Record):
    """Where the time went: one part of the work, in the order in which they ran."""

    name: str
    seconds: FiniteFloat = Field(ge=0)
    planned_seconds: FiniteFloat | None = None


class Fit(Result):
    """A ``fit`` result.

    Attributes:
        bundle: The bundle that was written.
        device: ``local`` or ``user@host``.
        device_name: The same for people.
        target: Export target.
        scope: Of the budget's latency.
        budget: The bounds.
        minutes: That were asked for.
        seconds: That all of it took, over all calls.
        data: The data set.
        found: What was found in it.
        judged_by: The accuracy that choices were made by.
        candidates: Everything that was considered.
        teacher: Its training; None without one, or where a candidate teaches.
        teacher_name: For people.
        points: What was exported and measured, the chosen one first.
        why: The choice in a sentence.
        advice: What more time, pictures or a wider budget would bring, one sentence each.
        steps: Where the time went.
        latency: The bench of the bundle.
        test: The bundle on the test split, which chose nothing, with confused pairs and their
            pictures; None where there is none.
        validation: The same on the validation split, which chose it.
        frigate: What Frigate reads from the bundle's files for it; None where there are none.
    """

    kind: ClassVar[str] = "fit"

    bundle: str
    device: str
    device_name: str
    target: str
    scope: Scope = "frame_to_decision"
    budget: Budget
    minutes: FiniteFloat = Field(gt=0)
    seconds: FiniteFloat = Field(ge=0)
    data: DataInfo
    found: FitData
    judged_by: Literal["top1", "macro"] = "top1"
    candidates: tuple[FitCandidate, ...] = Field(min_length=1)
    teacher: FitTraining | None = None
    teacher_name: str = ""
    points: tuple[FitPoint, ...] = Field(min_length=1)
    why: str
    advice: tuple[str, ...] = ()
    steps: tuple[FitStep, ...] = ()
    latency: Latency
    test: Evaluation | None = None
    validation: Evaluation
    frigate: FrigateReport | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> Fit:
        if any(point.candidate >= len(self.candidates) for point in self.points):
            raise ValueError("points must be of the candidates")
        if [point.role for point in self.points].count("chosen") != 1:
            raise ValueError("exactly one point must be chosen")
        return self

    @property
    def caption(self) -> str:
        """What this result says of what, for a list."""
        return f"fit for {self.device_name}"

    @property
    def chosen(self) -> FitPoint:
        """The bundle that was written."""
        return next(point for point in self.points if point.role == "chosen")

    @property
    def tried(self) -> tuple[FitCandidate, ...]:
        """The candidates that something was trained of."""
        return tuple(each for each in self.candidates if each.trainings)
