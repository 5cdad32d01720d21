"""A timm ``VisionTransformer`` and a :class:`ViTFS`, seen alike by what is built around them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from timm.layers import Attention
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from edge_fgir._errors import InputError
from edge_fgir.models.vitfs import PATCH, ViTFS


@dataclass(frozen=True)
class Layout:
    """What stands in front of the patches.

    Attributes:
        prefix: Tokens that are never dropped.
        class_token: Whether the first of them is a class token.
    """

    prefix: int
    class_token: bool


class Transformer(ABC):
    """The steps of a vision transformer, to be run one by one.

    Attributes:
        model: The network; its parameters stay its own.
        layout: What stands in front of the patches.
        grid: Rows and columns of patches of the usual input.
        patch: Height and width of a patch, pixels.
        pool: What is classified: ``token`` (the class token), ``patches`` (their mean), or
            another pooling of timm's; empty: none.
    """

    layout: Layout
    grid: tuple[int, int]
    patch: tuple[int, int]
    pool: str

    def __init__(self, model: nn.Module) -> None:
        self.model: Any = model

    @property
    def patches(self) -> int:
        """Np, the patches of the usual input."""
        return self.grid[0] * self.grid[1]

    @property
    def plain(self) -> bool:
        """Whether all blocks are attention and MLP alone, so that their halves can be run apart."""
        return all(map(_is_plain, self.model.blocks))

    @property
    def normalises_over_batch(self) -> bool:
        """Whether tokens are normalised with running statistics instead of their own."""
        return any(isinstance(module, _BatchNorm) for module in self.model.blocks.modules())

    @abstractmethod
    def embed(self, images: Tensor, change: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Return the tokens that the first block sees, (B, N, D).

        Args:
            images: (B, 3, H, W) normalised pixels.
            change: Is given the tokens before a norm in front of the blocks, and returns others.
        """

    @abstractmethod
    def summary(self, x: Tensor) -> Tensor:
        """Return the class token, or the mean of the patches, of the last tokens, (B, D)."""

    @abstractmethod
    def features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the summary (B, D) and the patches (B, n, D), normalised, of the last tokens."""

    @abstractmethod
    def classify(self, x: Tensor) -> Tensor:
        """Return logits (B, K) of the tokens behind the last block, (B, N, D)."""


class _TimmTransformer(Transformer):
    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        embed = self.model.patch_embed
        self.layout = Layout(self.model.num_prefix_tokens, self.model.cls_token is not None)
        self.grid, self.patch = embed.grid_size, embed.patch_size
        self.pool = self.model.global_pool

    def embed(self, images: Tensor, change: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        x = self.model._pos_embed(self.model.patch_embed(images))
        tokens: Tensor = self.model.norm_pre(x if change is None else change(x))
        return tokens

    def summary(self, x: Tensor) -> Tensor:
        token: Tensor = self.model.norm(x[:, 0])
        return token

    def features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.model.norm(x)
        return x[:, 0], x[:, self.layout.prefix :]

    def classify(self, x: Tensor) -> Tensor:
        if self.pool == "token":
            x = x[:, : self.layout.prefix]
        logits: Tensor = self.model.forward_head(self.model.norm(x))
        return logits


class _FromScratchTransformer(Transformer):
    def __init__(self, model: ViTFS) -> None:
        super().__init__(model)
        self.layout = Layout(model.registers.shape[1], class_token=False)
        self.grid, self.patch = model.grid, (PATCH, PATCH)
        self.pool = "patches"

    def embed(self, images: Tensor, change: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        x: Tensor = self.model.embed(images)
        return x if change is None else change(x)

    def summary(self, x: Tensor) -> Tensor:
        return self.features(x)[0]

    def features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        patches: Tensor = self.model.norm(x[:, self.layout.prefix :])
        return patches.mean(dim=1), patches

    def classify(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model.forward_head(self.model.norm(x[:, self.layout.prefix :]))
        return logits


def transformer_of(backbone: nn.Module, purpose: str, *, subclasses: bool = False) -> Transformer:
    """Return a backbone as a transformer.

    Args:
        backbone: A timm network.
        purpose: What is built around it, for messages.
        subclasses: Take networks that timm derives from its ``VisionTransformer``, too.

    Raises:
        InputError: It is none whose steps are known.
    """
    if not isinstance(getattr(backbone, "patch_drop", None), nn.Identity | None):
        raise InputError(f"patch_drop_rate above 0, and {purpose} on the whole grid", "0")
    if isinstance(backbone, ViTFS):
        if backbone.token_select != "patches":
            raise InputError(f"token_select {backbone.token_select} with {purpose}", "patches")
        return _FromScratchTransformer(backbone)
    if isinstance(backbone, VisionTransformer) and (
        subclasses or type(backbone) is VisionTransformer
    ):
        return _TimmTransformer(backbone)
    raise InputError(
        f"{type(backbone).__name__} with {purpose}",
        "a timm VisionTransformer, such as vit_base_patch16_224, or a ViTFS: rotary or relative "
        "positions and windows are bound to the whole grid of patches",
    )


def _is_plain(block: nn.Module) -> bool:
    attention: Any = getattr(block, "attn", None)
    return (
        type(block) is Block
        and type(attention) is Attention
        and attention.gate is None
        and isinstance(attention.norm, nn.Identity)
    )
