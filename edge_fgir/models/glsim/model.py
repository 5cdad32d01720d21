"""GLSim: a vision transformer that looks twice (arXiv 2407.12891)."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, NamedTuple

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from edge_fgir._errors import InputError
from edge_fgir.models.glsim.options import GLSimOptions
from edge_fgir.models.glsim.selection import CropForm, Selection
from edge_fgir.models.reduction.tokens import Tokens, attend
from edge_fgir.models.transformer import Transformer, transformer_of
from edge_fgir.models.wrapper import Wrapper

_MLP_RATIO = 4
_EPSILON = 1e-6
"""Of the aggregator's norms, where the backbone has no LayerNorm."""


class GLSimOutput(NamedTuple):
    """What :meth:`GLSim.look` finds.

    Attributes:
        logits: (B, K).
        region: (B, 4) left, top, right, bottom of what was looked at again, input pixels; the last
            two are exclusive.
        similarity: (B, g, g) of each patch to the whole; with the metric ``cos`` its cosine.
    """

    logits: Tensor
    region: Tensor
    similarity: Tensor


class GLSim(Wrapper, nn.Module):
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
    unquantized: ClassVar[tuple[str, ...]] = ("aggregator",)
    extra_outputs: ClassVar[tuple[str, ...]] = GLSimOutput._fields[1:]
    unquantized_outputs: ClassVar[tuple[str, ...]] = ("region",)

    def __init__(self, backbone: nn.Module, options: GLSimOptions, num_classes: int) -> None:
        super().__init__()
        self._transformer = _looking_twice(backbone)
        self.grid = self._transformer.grid[0]
        options.check_patches(self.grid**2)
        transformer = self._transformer.model
        transformer.reset_classifier(0)
        self.backbone = transformer
        self.options = options
        self.num_classes = num_classes
        dim: int = transformer.embed_dim
        self.num_features: int = dim
        layout = self._transformer.layout
        self.prefix = layout.prefix
        self.class_token_only = False
        self.crop_cls: nn.Parameter | None = None
        if layout.class_token and options.crop_cls == "separate":
            self.crop_cls = nn.Parameter(transformer.cls_token.detach().clone())
        self.selection = Selection(options.top_o, options.closed_box, options.sim_metric)
        norm = transformer.norm
        layer_norm = partial(
            nn.LayerNorm, eps=norm.eps if isinstance(norm, nn.LayerNorm) else _EPSILON
        )
        self.aggregator = Block(
            dim,
            num_heads=transformer.blocks[0].attn.num_heads,
            mlp_ratio=_MLP_RATIO,
            qkv_bias=True,
            norm_layer=layer_norm,
        )
        self.norm = layer_norm(dim)
        self.head = nn.Linear(dim, num_classes)
        self.aggregator.apply(_init_linear)
        (_init_zero if options.zero_head else _init_linear)(self.head)

    def no_weight_decay(self) -> set[str]:
        """Name parameters without weight decay beyond timm's rule."""
        return {"crop_cls"} | super().no_weight_decay()

    def outputs(self, images: Tensor) -> GLSimOutput:
        """Return the logits, and what they rest on, of normalised pixels (B, 3, S, S)."""
        return self.look(images)

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
        return self._transformer.features(self.backbone.blocks(self._transformer.embed(images)))

    def _second_pass(self, images: Tensor) -> Tensor:
        """Return the summary of the crop, (B, D)."""

        def with_own_token(x: Tensor) -> Tensor:
            if self.crop_cls is None:
                return x
            return torch.cat((x[:, :1] + (self.crop_cls - self.backbone.cls_token), x[:, 1:]), 1)

        tokens = self._transformer.embed(images, with_own_token)
        *blocks, last = self.backbone.blocks
        for block in blocks:
            tokens = block(tokens)
        tokens = _class_token(last, tokens) if self.class_token_only else last(tokens)
        return self._transformer.summary(tokens)

    def fold(self, *, class_token_only: bool = True, crop_form: CropForm = "grid_sample") -> None:
        """Take the form for export, exact in evaluation.

        Args:
            class_token_only: In the last block of the second pass only the class token goes on, as
                no other token is read after it (ours).
            crop_form: What the target's runtime computes.
        """
        self.selection.form = crop_form
        self.class_token_only = class_token_only and self._transformer.layout.class_token


def _class_token(block: Block, x: Tensor) -> Tensor:
    """Return what a block makes of the class token of (B, N, D), (B, 1, D)."""
    attended, _ = attend(block, Tokens(x), 1)
    y: Tensor = attended.x + block.drop_path2(block.ls2(block.mlp(block.norm2(attended.x))))
    return y


def _looking_twice(backbone: nn.Module) -> Transformer:
    """Return a backbone that GLSim can be built on.

    Raises:
        InputError: It cannot.
    """
    transformer = transformer_of(backbone, "GLSim")
    if transformer.pool != "patches" and not (
        transformer.plain and transformer.layout.class_token and transformer.pool == "token"
    ):
        raise InputError(
            f"{type(backbone).__name__} with GLSim",
            "a timm VisionTransformer that classifies its class token, such as "
            "vit_base_patch16_224, or a ViTFS",
        )
    (high, wide), (rows, columns) = transformer.patch, transformer.grid
    if high != wide:
        raise InputError("GLSim with oblong patches", "square ones")
    if rows != columns:
        raise InputError(f"GLSim: {columns} x {rows} patches", "a square input")
    return transformer


def _init_linear(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)


def _init_zero(module: nn.Linear) -> None:
    nn.init.zeros_(module.weight)
    nn.init.zeros_(module.bias)
