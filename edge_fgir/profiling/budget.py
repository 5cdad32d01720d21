"""What a device can spare."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Cost(BaseModel):
    """What a setting takes on the device, as far as it is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latency_ms: Annotated[float, Field(ge=0, description="frame to decision")]
    memory_mb: Annotated[float | None, Field(description="peak of the process")] = None
    energy_mj: Annotated[float | None, Field(description="a frame, beyond idling")] = None
    size_mb: Annotated[float | None, Field(description="model files")] = None


class Budget(BaseModel):
    """Bounds; None: none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latency_ms: Annotated[
        float | None, Field(gt=0, description="frame to decision, milliseconds")
    ] = None
    percentile: Annotated[
        Literal["p50", "p99"], Field(description="of the latency that the bound is for")
    ] = "p50"
    memory_mb: Annotated[float | None, Field(gt=0, description="peak of the process, MB")] = None
    energy_mj: Annotated[
        float | None, Field(gt=0, description="of a frame beyond idling, millijoules")
    ] = None
    size_mb: Annotated[float | None, Field(gt=0, description="model files, MB")] = None
    min_accuracy: Annotated[
        float | None, Field(gt=0, le=100, description="top-1 on the validation split, percent")
    ] = None

    def excess(self, cost: Cost) -> Iterator[str]:
        """Yield what a cost exceeds, one line each."""
        for name, unit in (
            ("latency_ms", "ms"),
            ("memory_mb", "MB"),
            ("energy_mj", "mJ"),
            ("size_mb", "MB"),
        ):
            bound, value = getattr(self, name), getattr(cost, name)
            if bound is not None and value is not None and value > bound:
                yield f"{name.rpartition('_')[0]} {value:.3g} {unit} of {bound:g}"

    def unknown(self, cost: Cost) -> list[str]:
        """Return the bounds that nothing is known about."""
        named = ("memory_mb", "energy_mj", "size_mb")
        return [n for n in named if getattr(self, n) is not None and getattr(cost, n) is None]
