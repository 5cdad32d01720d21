"""Whether a transformer can be adapted."""

from __future__ import annotations

from timm.models.vision_transformer import Block
from torch import nn

from edge_fgir._errors import InputError
from edge_fgir.models.ila.adapter import RING
from edge_fgir.models.ila.options import Adapters
from edge_fgir.models.transformer import Transformer, transformer_of

_POOLS = ("patches", "token", "avg", "avgmax", "max")


def adaptable(backbone: nn.Module, adapters: Adapters) -> Transformer:
    """Return a backbone that can be adapted so.

    Raises:
        InputError: It cannot.
    """
    name = type(backbone).__name__
    transformer = transformer_of(backbone, "adapters")
    if transformer.pool not in _POOLS:
        raise InputError(
            f"a {name} with global_pool {transformer.pool or 'none'!r} and adapters",
            f"one of {', '.join(_POOLS[1:])}",
        )
    kind = type(transformer.model.blocks[0])
    if adapters.variant == "ila++" and kind is not Block:
        raise InputError(
            f"adapters ila++ inside blocks of kind {kind.__name__}",
            "timm's plain Block, or adapters ila",
        )
    return transformer


def check_grid(transformer: Transformer, down_samplings: int) -> None:
    """Raise InputError unless the usual input is a square grid that survives the down-samplings."""
    grid, patch = transformer.grid, transformer.patch[0]
    check_square(*grid, patch)
    least = RING * down_samplings + 1
    if grid[0] < least:
        raise InputError(
            f"adapters on a grid of {grid[0]} x {grid[0]} patches, of which each of "
            f"{down_samplings} down-samplings takes the outer ring",
            f"{least} x {least} or more, that is an image side of {least * patch} px",
        )


def check_square(rows: int, columns: int, patch: int) -> None:
    """Raise InputError unless a grid is square; ``patch`` is its unit, pixels."""
    if rows != columns:
        side = min(rows, columns) * patch
        raise InputError(
            f"adapters on an image of {rows * patch} x {columns * patch} px",
            f"a square one, such as {side} x {side}: the grid is shrunk alike on all sides",
        )
