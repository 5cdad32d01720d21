"""What stands in front of a transformer's patches, and whether its tokens can be reduced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from timm.layers import Attention
from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn

from edge_fgir._errors import InputError
from edge_fgir.models.vitfs import ViTFS


@dataclass(frozen=True)
class Layout:
    """What stands in front of the patches.

    Attributes:
        prefix: Tokens that are never dropped.
        class_token: Whether the first of them is a class token.
    """

    prefix: int
    class_token: bool


def patches_of(backbone: Any) -> int:
    """Return Np, the patches of a transformer's usual input."""
    if isinstance(backbone, ViTFS):
        return backbone.grid[0] * backbone.grid[1]
    patches: int = backbone.patch_embed.num_patches
    return patches


def layout_of(backbone: nn.Module) -> Layout:
    """Return what stands in front of the patches.

    Raises:
        InputError: Tokens of this backbone cannot be reduced.
    """
    name = type(backbone).__name__
    if isinstance(backbone, ViTFS):
        if backbone.token_select != "patches":
            raise InputError(
                f"token_select {backbone.token_select} with token reduction", "patches"
            )
        return Layout(prefix=backbone.registers.shape[1], class_token=False)
    if not isinstance(backbone, VisionTransformer):
        raise InputError(
            f"{name} with token reduction", "a timm VisionTransformer, such as vit_base_patch16_224"
        )
    if not all(is_plain(block) for block in backbone.blocks):
        raise InputError(
            f"a {name} of {type(backbone.blocks[0]).__name__} blocks", "timm's plain blocks"
        )
    if backbone.cls_token is None or backbone.global_pool != "token":
        raise InputError(
            f"a {name} that does not classify its class token", "one with a class token"
        )
    if backbone.num_prefix_tokens != 1:
        raise InputError(
            f"a {name} with {backbone.num_prefix_tokens} tokens in front of the patches",
            "a class token alone, no register or distillation tokens",
        )
    return Layout(prefix=1, class_token=True)


def is_plain(block: nn.Module) -> bool:
    """Whether a block is attention and MLP alone: its two halves are run apart."""
    attention: Any = getattr(block, "attn", None)
    return (
        type(block) is Block
        and type(attention) is Attention
        and attention.gate is None
        and isinstance(attention.norm, nn.Identity)
    )
