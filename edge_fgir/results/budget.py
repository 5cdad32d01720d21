"""What a device can spare, and what a setting takes of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from edge_fgir.results.base import Record


class Cost(Record):
    """What a setting takes on the device; None where that is not known."""

    latency_ms: Annotated[FiniteFloat, Field(ge=0, description="frame to decision")]
    memory_mb: Annotated[FiniteFloat | None, Field(description="peak of the process")] = None
    energy_mj: Annotated[FiniteFloat | None, Field(description="a frame, beyond idling")] = None
    size_mb: Annotated[FiniteFloat | None, Field(description="model files")] = None


class Budget(Record):
    """Bounds of what a model may take, and of what it must reach; None: no bound."""

    latency_ms: Annotated[
        FiniteFloat | None, Field(gt=0, description="frame to decision, milliseconds")
    ] = None
    percentile: Annotated[
        Literal["p50", "p99"], Field(description="of the latency that the bound is for")
    ] = "p50"
    memory_mb: Annotated[FiniteFloat | None, Field(gt=0, description="peak of the process, MB")] = (
        None
    )
    energy_mj: Annotated[
        FiniteFloat | None, Field(gt=0, description="of a frame beyond idling, millijoules")
    ] = None
    size_mb: Annotated[FiniteFloat | None, Field(gt=0, description="model files, MB")] = None
    min_accuracy: Annotated[
        FiniteFloat | None,
        Field(gt=0, le=100, description="top-1 on the validation split, percent"),
    ] = None

    @property
    def text(self) -> str:
        """Every bound, for a sentence; '' without any."""
        named = (
            (self.latency_ms, f"ms ({self.percentile})"),
            (self.memory_mb, "MB of memory"),
            (self.energy_mj, "mJ a frame"),
            (self.size_mb, "MB of model files"),
            (self.min_accuracy, "% top-1 at least"),
        )
        return ", ".join(f"{value:g} {unit}" for value, unit in named if value is not None)

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
