"""What a method of token reduction is, and the registry of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge_fgir._errors import InputError
from edge_fgir.models.reduction.reducer import Reducer
from edge_fgir.models.reduction.stage import Arrival, ReductionStage, TransformerShape
from edge_fgir.models.transformer import Layout


@dataclass(frozen=True)
class ReductionMethod:
    """One way to have fewer tokens, declared by the module that computes it.

    Attributes:
        name: As settings call it.
        reducer: Makes the module of one stage, from the layout of the tokens, the channels of a
            token and the stage at the usual input.
        count: Returns how many tokens leave a stage, all of them.
        macs: Returns the multiply-accumulates of a stage beyond those of a plain block; below zero
            what it spares.
        weightless: It has no weights of its own: any model takes it, at any keep rate.
        fixed: Its weights fit one input size and one keep rate.
        inside: It reduces between a block's attention and its MLP; the others in front of both.
        adaptive: A picture decides how many tokens it keeps, so that its cost is its own.
        stage_rate: A stage keeps its own rate of the tokens that come in, rounded up.
        least_rate: Smallest keep rate of a stage.
    """

    name: str
    reducer: Callable[[Layout, int, ReductionStage], Reducer]
    count: Callable[[Arrival], int]
    macs: Callable[[ReductionStage, TransformerShape], int] = lambda stage, shape: 0
    weightless: bool = False
    fixed: bool = False
    inside: bool = False
    adaptive: bool = False
    stage_rate: bool = False
    least_rate: float = 0.0

    @property
    def drops(self) -> bool:
        """Whether it can drop any token."""
        return self.least_rate < 1


METHODS: dict[str, ReductionMethod] = {}
"""Every method by its name: the seven of arXiv 2501.00243, Top-K, and none (CLA or CLC alone)."""


def register(method: ReductionMethod) -> None:
    """Make a method known to settings, training, export and the profiler.

    Raises:
        InputError: Another method has its name.
    """
    if METHODS.setdefault(method.name, method) is not method:
        raise InputError(f"a second reduction method {method.name}", "a name of its own")


def planned(arrival: Arrival) -> int:
    """Count by plan: the patches that are left by the product of the rates so far, rounded down."""
    return arrival.prefix + min(max(arrival.planned, arrival.least), arrival.reducible)
