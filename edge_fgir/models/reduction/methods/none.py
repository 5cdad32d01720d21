"""No reduction, for a transformer with CLA or CLC alone."""

from __future__ import annotations

from edge_fgir.models.reduction.method import ReductionMethod
from edge_fgir.models.reduction.reducer import Reducer

METHOD = ReductionMethod(
    name="none",
    reducer=lambda layout, dim, stage: Reducer(layout),
    count=lambda arrival: arrival.tokens,
    weightless=True,
    least_rate=1.0,
)
