"""What all results have in common: frozen fields, an environment, a schema, and writing."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, FiniteFloat, field_serializer

from edge_fgir._files import write_json


class Record(BaseModel):
    """A part of a result. Its fields are fixed, and unknown ones are refused."""

    # ``model_bytes`` would otherwise collide with pydantic's own names.
    model_config = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), populate_by_name=True
    )


def _in_utc(date: datetime) -> datetime:
    """Return a time that says no zone as what it is by the format: UTC."""
    return date if date.tzinfo is not None else date.replace(tzinfo=timezone.utc)


class Environment(Record):
    """The machine that a figure was measured on, and when (UTC).

    What the machine does not tell is None. ``instructions`` are the vector instructions that decide
    how fast a layer is in which precision; ``versions`` are those of the libraries that matter.
    """

    date: Annotated[datetime, AfterValidator(_in_utc)]
    machine: str
    processor: str
    instructions: tuple[str, ...] = ()
    board: str | None = None
    cpus: int | None = None
    gpus: tuple[str, ...] = ()
    memory_mb: int | None = None
    governor: str | None = None
    load_1min: FiniteFloat | None = None
    system: str
    python: str
    versions: dict[str, str]

    @field_serializer("date", when_used="json")
    def _date(self, date: datetime) -> str:
        return date.isoformat(timespec="seconds")


class Subject(Record):
    """What a result is about: a bundle, or a run folder in torch.

    Attributes:
        bundle: Path of the bundle or of the run folder.
        name: The recipe's name.
        target: Export target; ``torch`` for a run folder.
        precision: What the network computes in.
        engine: The runtime and the device that answered, for people.
        image_size: Side of the input, pixels.
        variant: Which of a bundle's variants; None: it has one alone, or this is a run folder.
    """

    bundle: str
    name: str
    target: str
    precision: str
    engine: str
    image_size: int
    variant: str | None = None

    @property
    def title(self) -> str:
        """Target and precision."""
        return f"{self.target} {self.precision}"


class Result(Record):
    """A finding that is kept as a file of its own.

    The file holds the schema (``edge-fgir/<kind>/<version>``), the fields, and last the
    environment. :func:`read_result` reads it again.

    Attributes:
        kind: Of the result, as in its schema.
        version: Of the schema; it grows where a field is renamed or removed. Older files are
            brought up to date by :meth:`upgrade`.
        environment: The machine that the figures are from.
    """

    kind: ClassVar[str]
    version: ClassVar[int] = 1

    environment: Environment

    @property
    def caption(self) -> str:
        """What this result says of what, for a list: ``accuracy of openvino int8``."""
        raise NotImplementedError

    @classmethod
    def schema_name(cls, version: int | None = None) -> str:
        """Return the schema of files of this kind, by default of those written today."""
        return f"edge-fgir/{cls.kind}/{version or cls.version}"

    @classmethod
    def upgrade(cls, fields: dict[str, Any], version: int) -> None:
        """Change the fields of a file of an older schema version into today's, in place."""

    def to_dict(self) -> dict[str, object]:
        """Return the content of the file: plain JSON values."""
        fields = self.model_dump(mode="json", by_alias=True)
        environment = fields.pop("environment")
        return {"schema": self.schema_name(), **fields, "environment": environment}

    def write(self, path: Path) -> None:
        """Write the result as JSON, atomically."""
        write_json(path, self.to_dict())
