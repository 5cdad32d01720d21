"""What the trainings of a sweep reached."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, FiniteFloat, JsonValue

from edge_fgir.results.base import Record, Result
from edge_fgir.runtime import DataInfo


class CellResult(Record):
    """What one training of a sweep reached, accuracies in percent.

    Attributes:
        top1: On the sweep's split.
        top5: Likewise.
        macro: Likewise, the mean over the classes.
        ece: Expected calibration error.
        images: Of the split.
        params: Parameters of the network.
        gmacs: Multiply-accumulates of one image, 1e9.
        architecture: As timm registers it.
        image_size: Side of the input, pixels.
        seconds: That training took.
        device: Of torch.
        precision: Of the training.
    """

    top1: FiniteFloat
    top5: FiniteFloat
    macro: FiniteFloat
    ece: FiniteFloat
    images: int
    params: int
    gmacs: FiniteFloat
    architecture: str
    image_size: int
    seconds: FiniteFloat
    device: str
    precision: str


class CellFile(CellResult):
    """``result.json`` of a cell's run folder: its result, and the split that it is about."""

    split: str


class NetworkTime(Record):
    """Milliseconds of one image (median, OpenVINO float32); None where ``ms_note`` says why."""

    ms: FiniteFloat | None = None
    ms_note: str | None = None


class _Cell(Record):
    """One training of a sweep.

    Attributes:
        cell: Its key, the name of its run folder.
        data: Name of its data set.
        changes: What sets it apart from cells of other settings.
        seed: Of the training.
        reason: Why it failed; empty where it did not.
    """

    cell: str
    data: str
    changes: dict[str, JsonValue]
    seed: int
    reason: str = ""


class FinishedCell(NetworkTime, CellResult, _Cell):
    """A training that was finished and evaluated."""

    status: Literal["finished"] = "finished"


class FailedCell(_Cell):
    """A training that ended with an error."""

    status: Literal["failed"] = "failed"


SweepCell = Annotated[FinishedCell | FailedCell, Field(discriminator="status")]


class SweepGroup(NetworkTime):
    """One setting of a sweep over its seeds, accuracies in percent; None: not known.

    Attributes:
        data: Name of the data set.
        changes: The setting.
        n: Seeds that finished.
        failed: Seeds that failed.
        top1: Mean over the seeds.
        sd: Standard deviation of the top-1 over the seeds; None below two.
        macro: Mean over the seeds.
        params: Parameters of the network.
        gmacs: Multiply-accumulates of one image, 1e9.
    """

    data: str
    changes: dict[str, JsonValue]
    n: int
    failed: int = 0
    top1: FiniteFloat | None
    sd: FiniteFloat | None = None
    macro: FiniteFloat | None = None
    params: int | None = None
    gmacs: FiniteFloat | None = None


class Sweep(Result):
    """A ``sweep`` result.

    Attributes:
        name: The sweep's.
        recipe: What all cells change.
        split: That cells were evaluated on.
        fixed: Changes to the recipe that all cells share (``set`` in the file).
        data: The data sets.
        groups: Settings over their seeds.
        cells: Every training.
    """

    kind: ClassVar[str] = "sweep"

    name: str
    recipe: str
    split: str
    fixed: dict[str, JsonValue] = Field({}, validation_alias="set", serialization_alias="set")
    data: tuple[DataInfo, ...]
    groups: tuple[SweepGroup, ...]
    cells: tuple[SweepCell, ...]

    @classmethod
    def upgrade(cls, fields: dict[str, Any], version: int) -> None:
        """Drop ``start``: the recipe that a benchmark added to its first two sweeps."""
        fields.pop("start", None)

    @property
    def caption(self) -> str:
        """What this result says of what, for a list."""
        return f"sweep {self.name}"

    @property
    def failed(self) -> tuple[FailedCell, ...]:
        """Cells without a result."""
        return tuple(cell for cell in self.cells if isinstance(cell, FailedCell))

    @property
    def seconds(self) -> float:
        """Training time of all cells, one after another."""
        return sum(cell.seconds for cell in self.cells if isinstance(cell, FinishedCell))
