"""GLSim: a vision transformer that looks twice (arXiv 2407.12891)."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, NamedTuple

import torch
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from edge_fgir._errors import InputError
from edge_fgir.models.glsim.options import GLSimOptions
from edge_fgir.models.glsim.selection import CropForm, Selection
from edge_fgir.models.reduction.layout import is_plain
from edge_fgir.models.reduction.tokens import Tokens, attend
from edge_fgir.models.vitfs import ViTFS

_MLP_RATIO = 4
_layer_norm = partial(nn.LayerNorm, eps=1e-6)


class GLSimOutput(NamedTuple):
    """What :meth:`GLSim.look` finds.

    Attributes:
        logits: (B, K).
        region: (B, 4) left, top, right, bottom of what was looked at again, input pixels; the last
            two are exclusive.
        similarity: (B, g, g) cosine of each patch and the whole.
    """

    logits: Tensor
    region: Tensor
    similarity: Tensor


class GLSim(nn.Module):
    """A timm ``VisionTransformer`` or :class:`ViTFS` that looks again at what resembles the whole.

    Two passes of the same weights: the patches whose features, behind the final norm, are most
    similar to the class token's enclose a crop, which is stretched to the input's size and encoded
    again. One more block fuses the two class tokens. Without a class token (ViTFS) the mean of the
    patches is the summary of a pass. Its BatchNorms keep one set of statistics for both passes.

    Args:
        backbone: The transformer, its weights loaded; its head is removed.
        options: The settings.
        num_classes: Size of the output.

    Raises:
        InputError: The backbone is none that can look twice, or the settings do not fit it.
    """

    full_precision: ClassVar[tuple[str, ...]] = ("selection",)
    """Parts that stay in float32 in every exported graph (spec GLSim section 12)."""
    unquantized: ClassVar[tuple[str, ...]] = ("aggregator",)
    """Parts that are never quantized."""

    def __init__(self, backbone: nn.Module, options: GLSimOptions, num_classes: int) -> None:
        super().__init__()
        self.grid = _grid_of(backbone)
        options.check_patches(self.grid**2)
        transformer: Any = backbone
        transformer.reset_classifier(0)
        self.backbone = transformer
        self.options = options
        self.num_classes = num_classes
        dim: int = transformer.embed_dim
        self.num_features: int = dim
        self.prefix = 0 if isinstance(backbone, ViTFS) else transformer.num_prefix_tokens
        self.class_token_only = False
        self.crop_cls: nn.Parameter | None = None
        if self.prefix and options.crop_cls == "separate":
            self.crop_cls = nn.Parameter(transformer.cls_token.detach().clone())
        self.selection = Selection(options.top_o, options.closed_box)
        self.aggregator = Block(
            dim,
            num_heads=transformer.blocks[0].attn.num_heads,
            mlp_ratio=_MLP_RATIO,
            qkv_bias=True,
            norm_layer=_layer_norm,
        )
        self.norm = _layer_norm(dim)
        self.head = nn.Linear(dim, num_classes)
        self.aggregator.apply(_init_linear)
        (_init_zero if options.zero_head else _init_linear)(self.head)

    def no_weight_decay(self) -> set[str]:
        """Name parameters without weight decay beyond timm's rule."""
        return {"crop_cls"} | {f"backbone.{name}" for name in self.backbone.no_weight_decay()}

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, num_classes) of normalised pixels (B, 3, S, S)."""
        return self.look(images).logits

    def look(self, images: Tensor) -> GLSimOutput:
        """Return the logits of normalised pixels (B, 3, S, S), and what they rest on.

        Raises:
            InputError: The pixels are not square, or too few for the settings.
        """
        if images.shape[2] != images.shape[3]:
            raise InputError(
                f"GLSim: an input of {images.shape[3]} x {images.shape[2]} px",
                "a square: what is looked at again is stretched to the input's size",
            )
        summary, patches = self._first_pass(images)
        self.options.check_patches(patches.shape[1])
        selected = self.selection(images, summary, patches)
        pair = torch.stack((summary, self._second_pass(selected.crop)), dim=1)
        fused = self.norm(self.aggregator(pair))[:, 0]
        return GLSimOutput(self.head(fused), selected.region, selected.similarity)

    def _first_pass(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the summary (B, D) and the patches (B, n, D), both behind the final norm."""
        backbone = self.backbone
        if isinstance(backbone, ViTFS):
            patches = backbone.forward_features(images)
            return patches.mean(dim=1), patches
        tokens = backbone.norm_pre(backbone._pos_embed(backbone.patch_embed(images)))
        tokens = backbone.norm(backbone.blocks(tokens))
        return tokens[:, 0], tokens[:, self.prefix :]

    def _second_pass(self, images: Tensor) -> Tensor:
        """Return the summary of the crop, (B, D)."""
        backbone = self.backbone
        if isinstance(backbone, ViTFS):
            return backbone.forward_features(images).mean(dim=1)
        tokens = backbone._pos_embed(backbone.patch_embed(images))
        if self.crop_cls is not None:
            own = tokens[:, :1] + (self.crop_cls - backbone.cls_token)
            tokens = torch.cat((own, tokens[:, 1:]), dim=1)
        tokens = backbone.norm_pre(tokens)
        *blocks, last = backbone.blocks
        for block in blocks:
            tokens = block(tokens)
        tokens = _class_token(last, tokens) if self.class_token_only else last(tokens)
        summary: Tensor = backbone.norm(tokens[:, 0])
        return summary

    def fold(self, crop_form: CropForm, *, class_token_only: bool = True) -> None:
        """Take the form for export, exact in evaluation.

        Args:
            crop_form: What the target's runtime computes.
            class_token_only: In the last block of the second pass only the class token goes on, as
                no other token is read after it (ours).
        """
        self.selection.form = crop_form
        self.class_token_only = class_token_only


def _class_token(block: Block, x: Tensor) -> Tensor:
    """Return what a block makes of the class token of (B, N, D), (B, 1, D)."""
    attended, _ = attend(block, Tokens(x), 1)
    y: Tensor = attended.x + block.drop_path2(block.ls2(block.mlp(block.norm2(attended.x))))
    return y


def _grid_of(backbone: Any) -> int:
    """Return the patches along a side of a transformer's usual input.

    Raises:
        InputError: GLSim cannot be built on it.
    """
    name = type(backbone).__name__
    if isinstance(backbone, ViTFS):
        if backbone.token_select != "patches":
            raise InputError(f"token_select {backbone.token_select} with GLSim", "patches")
        rows, columns = backbone.grid
    else:
        plain = type(backbone) is VisionTransformer and all(map(is_plain, backbone.blocks))
        if not plain or backbone.cls_token is None or backbone.global_pool != "token":
            raise InputError(
                f"{name} with GLSim",
                "a timm VisionTransformer that classifies its class token, such as "
                "vit_base_patch16_224, or a ViTFS",
            )
        rows, columns = backbone.patch_embed.grid_size
        high, wide = backbone.patch_embed.patch_size
        if high != wide:
            raise InputError(f"{name} with GLSim: oblong patches", "square ones")
    if rows != columns:
        raise InputError(f"GLSim: {columns} x {rows} patches", "a square input")
    return rows


def _init_linear(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)


def _init_zero(module: nn.Linear) -> None:
    nn.init.zeros_(module.weight)
    nn.init.zeros_(module.bias)
