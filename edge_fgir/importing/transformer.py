"""A vision transformer's shape from its tensors, and the names of the authors' own ViT."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import isqrt

from torch import Tensor

from edge_fgir._errors import InputError

HEAD_DIM = 64
"""Channels of an attention head in every ViT of the authors'; no tensor tells it."""

_SIZES = {192: ("tiny", 12), 384: ("small", 12), 768: ("base", 12), 1024: ("large", 24)}
"""Of timm's ViTs by their width: name and depth."""
_PATCHES = {"tiny": (16,), "small": (16, 32), "base": (16, 32, 8), "large": (16, 32)}
_ANY = "vit_base_patch16_224"
_MLP_RATIO = 4

AUTHORS_EPS = 1e-12
"""LayerNorm's epsilon in the authors' own ViT."""


def authors_vit(prefix: str) -> tuple[tuple[str, str], ...]:
    """Return the names of the authors' own ViT and of timm's, which begins with ``prefix``."""
    return (
        ("patch_embedding.", f"{prefix}patch_embed.proj."),
        ("class_token", f"{prefix}cls_token"),
        ("positional_embedding.pos_embedding", f"{prefix}pos_embed"),
        *authors_block("encoder.blocks.#.", f"{prefix}blocks.#."),
        ("encoder_norm.", f"{prefix}norm."),
    )


def authors_block(theirs: str, ours: str) -> tuple[tuple[str, str], ...]:
    """Return the names of a block of theirs and of timm's; both begin as given."""
    return (
        *((f"{theirs}attn.proj_{each}.", f"{ours}attn.qkv[{i}].") for i, each in enumerate("qkv")),
        (f"{theirs}proj.", f"{ours}attn.proj."),
        (f"{theirs}pwff.", f"{ours}mlp."),
        *((f"{theirs}{norm}.", f"{ours}{norm}.") for norm in ("norm1", "norm2")),
    )


@dataclass(frozen=True)
class Shape:
    """A ViT, as ``Network`` describes it.

    Attributes:
        name: timm's.
        options: Where it differs from what timm calls so.
        side: Of its pictures, pixels.
        depth: Blocks.
        dim: Channels of a token.
        patches: Of a picture.
        pre_norm: Whether a norm stands in front of the blocks (CLIP).
        covers_prefix: Whether the table of positions has rows for more than patches.
    """

    name: str
    options: dict[str, bool | int | float | str | tuple[int, ...]]
    side: int
    depth: int
    dim: int
    patches: int
    pre_norm: bool
    covers_prefix: bool


def shape_of(
    tensors: Mapping[str, Tensor], *, heads: int | None, more_tokens: int = 0, file: object
) -> Shape:
    """Read a ViT's shape.

    Args:
        tensors: By timm's names.
        heads: Of its attention; None: as many as have 64 channels each.
        more_tokens: Beside the class token, which the table of positions may cover.
        file: Where they come from, for messages.

    Raises:
        InputError: A tensor is missing that a shape is read from, or has another shape.
    """
    needed = ("patch_embed.proj.weight", "pos_embed", "blocks.0.mlp.fc1.weight")
    if gone := [name for name in needed if name not in tensors]:
        raise InputError(f"{file} has no {gone[0]}", "a vision transformer with positions")
    embed, table, wide = (tensors[name] for name in needed)
    dim, patch = embed.shape[0], embed.shape[-1]
    depth = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("blocks."))
    rows, prefix = table.shape[1], min(1 + more_tokens, table.shape[1])
    covers = isqrt(rows - prefix) ** 2 == rows - prefix
    patches = rows - prefix if covers else rows
    grid = isqrt(patches)
    heads = heads or dim // HEAD_DIM
    if grid**2 != patches or dim % max(heads, 1) or not heads:
        raise InputError(
            f"{file}: {rows} positions and {dim} channels in {heads} heads",
            "a square of patches, and heads of 64 channels",
            "add --set num_attention_heads=N",
        )
    pre_norm = "norm_pre.weight" in tensors
    size, usual_depth = _SIZES.get(dim, ("", 0))
    known = patch in _PATCHES.get(size, ()) and depth == usual_depth and heads == dim // HEAD_DIM
    name = f"vit_{size}_patch{patch}_224" if known else _ANY
    own = {"embed_dim": dim, "depth": depth, "num_heads": heads, "patch_size": patch}
    options: dict[str, bool | int | float | str | tuple[int, ...]] = {} if known else dict(own)
    if (ratio := wide.shape[0] / dim) != _MLP_RATIO:
        options["mlp_ratio"] = ratio
    if "blocks.0.attn.qkv.bias" not in tensors:
        options["qkv_bias"] = False
    if "blocks.0.ls1.gamma" in tensors:
        options["init_values"] = 1e-6
    if not covers:
        options["no_embed_class"] = True
    if pre_norm:
        options["pre_norm"] = True
    return Shape(name, options, grid * patch, depth, dim, patches, pre_norm, covers)


def numbered(tensors: Collection[str], begin: str) -> int:
    """Return how many modules of a list there are, whose names begin so: ``begin.0.`` and on."""
    numbers = {name.removeprefix(begin).split(".")[0] for name in tensors if name.startswith(begin)}
    return len(numbers)
