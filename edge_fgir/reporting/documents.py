"""The result files a report is drawn from, checked field by field."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, FiniteFloat, JsonValue, ValidationError, model_validator

from edge_fgir._errors import InputError
from edge_fgir.benchmarking import read_result
from edge_fgir.reporting.body import Body, Part
from edge_fgir.reporting.profile_documents import Profile
from edge_fgir.runtime.manifest import DataInfo


class Subject(Body):
    """A result about one model: a bundle, or a run folder in torch."""

    bundle: str
    name: str
    target: str
    precision: str
    engine: str
    image_size: int

    @property
    def title(self) -> str:
        """Target and precision."""
        return f"{self.target} {self.precision}"


class ClassAccuracy(Part):
    """One class of an evaluation; ``top1`` is None where it has no images."""

    name: str
    images: int
    top1: FiniteFloat | None


class ShotAccuracy(Part):
    """Classes with so many training images, and their mean accuracy; None without images."""

    group: str
    train_images: str
    classes: int
    tested: int
    top1: FiniteFloat | None


class Look(Part):
    """One image of the split, by its place there, and what it was taken for."""

    index: int
    truth: str
    answer: str
    score: FiniteFloat


class ConfusedPair(Part):
    """Two classes that are mixed up; ``confused``: first for second, second for first."""

    classes: tuple[str, str]
    images: tuple[int, int]
    confused: tuple[int, int]
    share: FiniteFloat
    mistakes: tuple[Look, ...]
    references: tuple[Look, ...]


class SplitPicture(Part):
    """A small picture of one image of the split, as a data address."""

    index: int
    file: str
    picture: str


class Evaluation(Subject):
    """An ``evaluation`` result, accuracies in percent."""

    model_bytes: int
    split: str
    data: DataInfo
    top1: FiniteFloat
    top5: FiniteFloat
    macro: FiniteFloat
    ece: FiniteFloat
    images: int = Field(gt=0)
    classes: tuple[ClassAccuracy, ...] = Field(min_length=1)
    confusion: tuple[tuple[int, ...], ...]
    confused_pairs: tuple[ConfusedPair, ...] = ()
    shots: tuple[ShotAccuracy, ...] = ()
    logit_adjustment: FiniteFloat | None = None
    pictures: tuple[SplitPicture, ...] = ()

    @model_validator(mode="after")
    def _square(self) -> Evaluation:
        if {len(self.classes)} != {len(self.confusion), *map(len, self.confusion)}:
            raise ValueError("confusion must have one row and one column a class")
        return self

    @property
    def use(self) -> str:
        """What this result says of what, for a list."""
        return f"accuracy of {self.title}"

    @property
    def images_key(self) -> tuple[str, ...]:
        """Equal for evaluations that saw the same images under the same class names."""
        return (self.data.hash, self.split, *(one.name for one in self.classes))


class Percentiles(Part):
    """A measured latency, milliseconds."""

    p50_ms: FiniteFloat = Field(gt=0)
    p90_ms: FiniteFloat = Field(gt=0)
    p99_ms: FiniteFloat = Field(gt=0)
    n: int
    steady: bool = True


class Scopes(Part):
    """The two scopes of a bench."""

    network: Percentiles
    frame_to_decision: Percentiles


class Rival(Percentiles):
    """What was measured in the same run, against the network scope."""

    name: str
    times_slower: FiniteFloat = Field(gt=0)


class SustainedRun(Part):
    """Frames back to back for long: the median of each window, and what became of it."""

    window_s: FiniteFloat = Field(gt=0)
    runs: int
    drift: FiniteFloat
    p50_ms: tuple[FiniteFloat, ...] = Field(min_length=1)


class FixedRate(Part):
    """Frames on a clock; ``missed`` and ``duty`` are shares."""

    fps: FiniteFloat
    frames: int
    missed: FiniteFloat
    duty: FiniteFloat


class Energy(Part):
    """What a frame costs beyond idling; None where ``reason`` says why."""

    joules_per_frame: FiniteFloat | None
    idle_watts: FiniteFloat | None
    meter: str | None
    reason: str


class Latency(Subject):
    """A ``latency`` result."""

    model_bytes: int
    certified: bool
    uncertified_because: tuple[str, ...] = ()
    scopes: Scopes
    rival: Rival | None = None
    sustained: SustainedRun | None = None
    fixed_rate: FixedRate | None = None
    energy: Energy | None = None
    peak_memory_mb: FiniteFloat | None = None

    @property
    def use(self) -> str:
        """What this result says of what, for a list."""
        return f"latency of {self.title}"


class Prediction(Part):
    """The answer for one picture."""

    image: str
    label: str
    score: FiniteFloat
    is_unknown: bool
    top: tuple[tuple[str, FiniteFloat], ...]


class Predictions(Subject):
    """A ``predictions`` result."""

    predictions: tuple[Prediction, ...]

    @property
    def use(self) -> str:
        """What this result says of what, for a list."""
        return f"predictions of {self.title}"


class Line(Part):
    """One line of a training history: the loss of an epoch, or its validation."""

    epoch: int
    loss: FiniteFloat | None = None
    val_top1: FiniteFloat | None = None


class Training(Body):
    """A ``training`` result; ``val_top1`` is None where an epoch was never validated."""

    name: str
    method: str
    architecture: str
    data: DataInfo
    steps: int
    epochs: int
    seconds: FiniteFloat
    device: str
    precision: str
    val_top1: FiniteFloat | None = None
    val_macro: FiniteFloat | None = None
    views: tuple[str, ...] = ("crop", "drop")
    history: tuple[Line, ...] = ()

    @property
    def use(self) -> str:
        """What this result says of what, for a list."""
        return f"training of {self.name}"


class Teacher(Part):
    """A candidate of ``edge-fgir rank-teachers``; ``tac`` and ``skipped`` in percent."""

    rank: int
    run: str
    architecture: str
    method: str
    r12: FiniteFloat | None
    skipped: FiniteFloat
    tac: FiniteFloat
    ssp: FiniteFloat | None
    images: int


class Teachers(Body):
    """A ``teachers`` result: candidates in rank order."""

    data: DataInfo
    teachers: tuple[Teacher, ...]

    @property
    def use(self) -> str:
        """What this result says of what, for a list."""
        return f"ranking of {len(self.teachers)} teachers"

    @property
    def methods(self) -> tuple[str, ...]:
        """How they were trained: more than one way makes the ranking doubtful."""
        return tuple(sorted({one.method for one in self.teachers}))


class SweepGroup(Part):
    """One setting of a sweep over its seeds, accuracies in percent; None where nothing is known."""

    data: str
    changes: dict[str, JsonValue]
    n: int
    failed: int = 0
    top1: FiniteFloat | None
    sd: FiniteFloat | None = None
    macro: FiniteFloat | None = None
    params: int | None = None
    gmacs: FiniteFloat | None = None
    ms: FiniteFloat | None = None
    ms_note: str | None = None


class SweepCell(Part):
    """One training of a sweep."""

    cell: str
    data: str
    changes: dict[str, JsonValue]
    seed: int
    status: Literal["finished", "failed"]
    reason: str = ""
    seconds: FiniteFloat = 0.0


class Sweep(Body):
    """A ``sweep`` result."""

    name: str
    recipe: str
    split: str
    data: tuple[DataInfo, ...]
    groups: tuple[SweepGroup, ...]
    cells: tuple[SweepCell, ...]

    @property
    def use(self) -> str:
        """What this result says of what, for a list."""
        return f"sweep {self.name}"

    @property
    def failed(self) -> tuple[SweepCell, ...]:
        """Cells without a result."""
        return tuple(cell for cell in self.cells if cell.status == "failed")

    @property
    def seconds(self) -> float:
        """Training time of all cells, one after another."""
        return sum(cell.seconds for cell in self.cells)


_KINDS: dict[str, type[Body]] = {
    "evaluation": Evaluation,
    "latency": Latency,
    "predictions": Predictions,
    "profile": Profile,
    "sweep": Sweep,
    "teachers": Teachers,
    "training": Training,
}


@dataclass(frozen=True)
class Document:
    """A result file.

    Attributes:
        path: As the user named it.
        body: Its checked content.
    """

    path: Path
    body: Body


def read_document(path: Path) -> Document:
    """Read one result file.

    Raises:
        InputError: It cannot be read, is no result, or lacks a field.
    """
    kind, value = read_result(path)
    try:
        body = _KINDS[kind].model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "content"
        raise InputError(
            f"{path}: {place}: {first['msg']}", f"a whole {kind} result", "write it again"
        ) from error
    return Document(path, body)
