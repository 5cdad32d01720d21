"""Whether a transformer can be adapted, and what stands in front of its patches."""

from __future__ import annotations

from typing import Any

from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from edge_fgir._errors import InputError
from edge_fgir.models.ila.adapter import RING
from edge_fgir.models.ila.options import Adapters
from edge_fgir.models.reduction.layout import Layout
from edge_fgir.models.vitfs import PATCH, ViTFS

_POOLS = ("token", "avg", "avgmax", "max")


def layout_of(backbone: nn.Module, adapters: Adapters) -> Layout:
    """Return what stands in front of the patches.

    Raises:
        InputError: This backbone cannot be adapted so.
    """
    name = type(backbone).__name__
    if isinstance(backbone, ViTFS):
        if backbone.token_select != "patches":
            raise InputError(f"token_select {backbone.token_select} with adapters", "patches")
        return Layout(prefix=backbone.registers.shape[1], class_token=False)
    if type(backbone) is not VisionTransformer:
        raise InputError(
            f"a {name} with adapters",
            "a timm VisionTransformer, such as vit_base_patch16_224, or a ViTFS: rotary or "
            "relative positions and windows are bound to a grid that does not shrink",
        )
    if backbone.global_pool not in _POOLS:
        raise InputError(
            f"a {name} with global_pool {backbone.global_pool or 'none'!r} and adapters",
            f"one of {', '.join(_POOLS)}",
        )
    if not isinstance(backbone.patch_drop, nn.Identity):
        raise InputError("patch_drop_rate above 0 with adapters, which need the whole grid", "0")
    vit: Any = backbone
    kind = type(vit.blocks[0])
    if adapters.variant == "ila++" and kind is not Block:
        raise InputError(
            f"adapters ila++ inside blocks of kind {kind.__name__}",
            "timm's plain Block, or adapters ila",
        )
    return Layout(prefix=vit.num_prefix_tokens, class_token=vit.cls_token is not None)


def check_grid(backbone: Any, down_samplings: int) -> None:
    """Raise InputError unless the usual input is a square grid that survives the down-samplings."""
    if isinstance(backbone, ViTFS):
        grid, patch = backbone.grid, PATCH
    else:
        grid, patch = backbone.patch_embed.grid_size, backbone.patch_embed.patch_size[0]
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


def normalises_over_batch(backbone: nn.Module) -> bool:
    """Whether tokens are normalised with running statistics instead of their own."""
    blocks: Any = backbone.blocks
    return any(isinstance(module, _BatchNorm) for module in blocks.modules())
