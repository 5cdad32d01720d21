"""Settings of the adapters of a frozen transformer."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge_fgir._errors import InputError
from edge_fgir._refusal import refused_option

Variant = Literal["none", "ila", "ila+", "ila++"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)
"""The three of arXiv 2409.11051, and none (the frozen backbone under a new head)."""

Residual = Literal["auto", "sum", "mean"]

LEAST_DEPTH = 3
"""Blocks that two down-samplings part into three groups."""


class Adapters(BaseModel):
    """What is trained in a frozen vision transformer (arXiv 2409.11051; docs/science/ila.md).

    Beside it the head is trained, and nothing else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    variant: Annotated[
        Variant,
        Field(
            description="ila: two adapters that down-sample; ila+: and one behind every other "
            "block; ila++: and two inside every block; none: the head alone"
        ),
    ] = "ila"
    width: Annotated[
        int, Field(ge=1, le=1024, description="channels k inside an adapter between blocks")
    ] = 8
    block_width: Annotated[
        int, Field(ge=1, le=1024, description="channels of an adapter inside a block (ila++)")
    ] = 8
    locations: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...],
        Field(
            description="blocks, counted from 0, behind which the grid loses its outer ring of "
            "patches; empty: two that part the blocks into three equal groups"
        ),
    ] = ()
    residual: Annotated[
        Residual,
        Field(
            description="what a down-sampling starts as: the sum of 3 x 3 patches, as published, "
            "or their mean; auto: the sum, and the mean where the backbone has BatchNorms, whose "
            "frozen statistics know no larger patches"
        ),
    ] = "auto"
    class_token: Annotated[
        bool, Field(description="train the class token too, where there is one")
    ] = True
    dropout: Annotated[
        float, Field(ge=0, lt=1, description="of what an adapter adds, in training")
    ] = 0.1

    @model_validator(mode="after")
    def _consistent(self) -> Adapters:
        if list(self.locations) != sorted(set(self.locations)):
            raise ValueError(
                f"locations {list(self.locations)}; expected different blocks in ascending order"
            )
        if self.variant == "none" and self.locations:
            raise ValueError("locations for variant none, which has no adapters; expected none")
        return self

    @classmethod
    def checked(cls, **values: Any) -> Adapters:
        """Return settings from plain values.

        Raises:
            InputError: They break a rule, which is named.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            raise refused_option(error, "adapters") from error

    def locations_in(self, depth: int) -> tuple[int, ...]:
        """Return the blocks behind which the grid shrinks, in a transformer of ``depth`` blocks.

        Published are 3 and 7 of 12; other depths are parted alike (ours).

        Raises:
            InputError: There are too few blocks, or no such block.
        """
        if self.variant == "none":
            return ()
        if depth < LEAST_DEPTH:
            raise InputError(
                f"adapters in a transformer of {depth} blocks", f"{LEAST_DEPTH} blocks or more"
            )
        last = max(self.locations, default=0)
        if last > depth - 2:
            raise InputError(
                f"adapters: a down-sampling behind block {last} of {depth}",
                f"blocks 0 to {depth - 2}: behind the last no block would see fewer tokens",
            )
        return self.locations or (depth // 3 - 1, 2 * depth // 3 - 1)
