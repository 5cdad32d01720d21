"""What the results of every kind have."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, FiniteFloat


class Part(BaseModel):
    """A part of a result; fields that it does not know are let through."""

    # ``model_bytes`` would otherwise collide with pydantic's own names.
    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class Environment(Part):
    """What a number was measured on, and when (UTC)."""

    date: datetime
    machine: str
    processor: str
    board: str | None = None
    cpus: int | None = None
    memory_mb: int | None = None
    governor: str | None = None
    load_1min: FiniteFloat | None = None
    system: str
    python: str
    versions: dict[str, str]


class Body(Part):
    """What all results have."""

    environment: Environment

    @property
    def use(self) -> str:
        """What this result says of what, for a list."""
        raise NotImplementedError
