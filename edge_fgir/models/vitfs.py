"""ViTFS: vision transformers that train from scratch (arXiv 2507.12157).

A columnar ViT with a convolutional stem, a fixed position code, register tokens, LayerScale and, in
place of LayerNorm, BatchNorm over batch and tokens. There is no class token: patches are averaged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import torch
from timm.layers import to_2tuple
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from edge_fgir._errors import InputError
from edge_fgir.models.registration import register_family

Norm = Literal["batch", "layer"]
TokenSelect = Literal["patches", "first_s"]

PATCH = 16
"""Stride of the stem, pixels: an image side is a multiple of it."""
_DEPTH = 12
_HEAD_DIM = 64
_LAYER_SCALE = 1e-5
_REGISTER_STD = 1e-6
_LINEAR_STD = 0.02


@dataclass(frozen=True)
class ViTFSConfig:
    """Width of the tokens and what normalises them."""

    dim: int
    norm: Norm = "batch"


_DIMS = {"nano": 64, "micro": 128, "tiny": 192, "small": 384, "base": 768}

CONFIGS: dict[str, ViTFSConfig] = {
    **{f"vitfs_{size}": ViTFSConfig(dim) for size, dim in _DIMS.items()},
    **{f"vitfs_{size}_ln": ViTFSConfig(dim, "layer") for size, dim in _DIMS.items()},
}
"""The paper's five sizes; ``_ln`` marks the form with LayerNorm."""


def sin2d(
    height: int,
    width: int,
    dim: int,
    device: torch.device | None = None,
    *,
    side: int | None = None,
) -> Tensor:
    """Return the position code of a grid of patches, (height * width, dim), row-major.

    Channels are sin(x w), cos(x w), sin(y w), cos(y w) for dim / 4 frequencies w from 1 down to
    1e-4, with x the column and y the row; with ``side``, those of the patches' centres in a grid of
    that side, so that a place in the picture has the same code at every size.
    """
    count = dim // 4
    omega = 10000.0 ** -(torch.arange(count, device=device) / (count - 1))
    rows = _places(height, side, device)[:, None, None] * omega
    columns = _places(width, side, device)[None, :, None] * omega
    x, y = columns.expand(height, -1, -1), rows.expand(-1, width, -1)
    return torch.cat((x.sin(), x.cos(), y.sin(), y.cos()), dim=2).flatten(0, 1)


def _places(count: int, side: int | None, device: torch.device | None) -> Tensor:
    places = torch.arange(count, device=device)
    return places if side is None else (places + 0.5) * (side / count) - 0.5


class TokenBatchNorm(nn.BatchNorm1d):
    """BatchNorm of (B, N, C) tokens over batch and tokens, per channel."""

    def forward(self, x: Tensor) -> Tensor:
        """Return normalised tokens, (B, N, C)."""
        return super().forward(x.flatten(0, 1)).view(x.shape)


_NORMS: dict[Norm, Callable[[int], nn.Module]] = {
    "batch": TokenBatchNorm,
    "layer": partial(nn.LayerNorm, eps=1e-6),
}


def _block(dim: int, norm: Norm, drop_path: float) -> Block:
    """Pre-norm attention and MLP, each scaled and with stochastic depth."""
    return Block(
        dim,
        num_heads=dim // _HEAD_DIM,
        qkv_bias=True,
        init_values=_LAYER_SCALE,
        drop_path=drop_path,
        norm_layer=_NORMS[norm],
    )


def _stem(in_chans: int, dim: int) -> nn.Sequential:
    """Four strided convolutions, each followed by ReLU and then BatchNorm, and a projection."""
    layers: list[nn.Module] = []
    inputs = in_chans
    for width in (dim // 8, dim // 4, dim // 2, dim):
        layers += [nn.Conv2d(inputs, width, 3, 2, 1), nn.ReLU(inplace=True), nn.BatchNorm2d(width)]
        inputs = width
    return nn.Sequential(*layers, nn.Conv2d(dim, dim, 1, bias=False))


class ViTFS(nn.Module):
    """A ViTFS: (B, 3, H, W) normalised pixels to (B, num_classes) logits.

    H and W are multiples of 16; ``img_size`` only says for which size the position code is kept.

    Args:
        config: Width and normalisation.
        num_classes: Size of the linear head; 0 for none.
        in_chans: Input channels.
        img_size: Side, or height and width, of the usual input, pixels.
        registers: Number of register tokens, which are put before the patches.
        token_select: What is averaged of the R registers and s patches: ``patches``, or the
            ``first_s`` tokens of the sequence, that is registers and all but the last R patches,
            as in the authors' code and weights.
        drop_path_rate: Stochastic depth of the last block; block i of n gets rate * i / (n - 1).
        position_side: Patches along a side over which positions are counted at every input size;
            None: over those that there are, as published.

    Raises:
        InputError: A size is not a multiple of 16, or an option has no such value.
    """

    def __init__(
        self,
        config: ViTFSConfig,
        num_classes: int = 1000,
        in_chans: int = 3,
        img_size: int | tuple[int, int] = 224,
        registers: int = 4,
        token_select: TokenSelect = "patches",
        drop_path_rate: float = 0.0,
        position_side: int | None = None,
    ) -> None:
        super().__init__()
        if token_select not in get_args(TokenSelect):
            raise InputError(f"token_select {token_select!r}", "patches or first_s")
        if position_side is not None and position_side < 1:
            raise InputError(f"position_side {position_side}", "a number of patches, 1 at least")
        dim = config.dim
        self.num_classes = num_classes
        self.num_features = self.head_hidden_size = self.embed_dim = dim
        self.token_select = token_select
        # Registers among the tokens that forward_features returns (timm's name).
        self.num_prefix_tokens = registers if token_select == "first_s" else 0
        self.stem = _stem(in_chans, dim)
        height, width = to_2tuple(img_size)
        self.grid = (_patches(height), _patches(width))
        self._position_side = position_side
        self.positions: Tensor
        positions = sin2d(*self.grid, dim, side=position_side)
        self.register_buffer("positions", positions, persistent=False)
        self.registers = nn.Parameter(torch.empty(1, registers, dim))
        rates = [drop_path_rate * index / (_DEPTH - 1) for index in range(_DEPTH)]
        self.blocks = nn.Sequential(*(_block(dim, config.norm, rate) for rate in rates))
        self.norm = _NORMS[config.norm](dim)
        self.head: nn.Module = self._make_head(num_classes)
        self._init_weights()

    def _make_head(self, num_classes: int) -> nn.Module:
        return nn.Linear(self.num_features, num_classes) if num_classes > 0 else nn.Identity()

    def _init_weights(self) -> None:
        nn.init.normal_(self.registers, std=_REGISTER_STD)
        for module in self.modules():
            _init_linear(module)

    def no_weight_decay(self) -> set[str]:
        """Name parameters without weight decay beyond timm's rule: none, registers are decayed."""
        return set()

    def get_classifier(self) -> nn.Module:
        """Return the head (timm's interface)."""
        return self.head

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the head (timm's interface)."""
        self.num_classes = num_classes
        self.head = self._make_head(num_classes)
        _init_linear(self.head)

    def _code(self, height: int, width: int) -> Tensor:
        if (height, width) == self.grid:
            return self.positions
        code = sin2d(
            height, width, self.num_features, self.positions.device, side=self._position_side
        )
        return code.to(self.positions.dtype)

    def embed(self, x: Tensor) -> Tensor:
        """Return registers and patches as the first block sees them, (B, R + s, C)."""
        height, width = _patches(x.shape[2]), _patches(x.shape[3])
        patches = self.stem(x).flatten(2).transpose(1, 2) + self._code(height, width)
        registers = self.registers.expand(x.shape[0], -1, -1)
        return torch.cat((registers, patches), dim=1)

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the selected tokens, normalised: (B, s, C) for s = H W / 256, row-major."""
        tokens = self.blocks(self.embed(x))
        registers = self.registers.shape[1]
        if self.token_select == "patches":
            kept = tokens[:, registers:]
        else:
            kept = tokens[:, : tokens.shape[1] - registers]
        features: Tensor = self.norm(kept)
        return features

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Return logits (B, num_classes) of tokens, or their mean."""
        pooled = x.mean(1)
        return pooled if pre_logits else self.head(pooled)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, num_classes)."""
        return self.forward_head(self.forward_features(x))


def _init_linear(module: nn.Module) -> None:
    """Draw a linear layer's weights from N(0, 0.02^2), cut at +-2; other layers are left alone."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=_LINEAR_STD)
        nn.init.zeros_(module.bias)


def _patches(side: int) -> int:
    """Return the number of patches along an image side of ``side`` pixels."""
    if side % PATCH or side < PATCH:
        below = max(side // PATCH, 1) * PATCH
        near = f"{below} or {below + PATCH}" if side > PATCH else f"{PATCH}"
        raise InputError(f"image side of {side} px", f"a multiple of {PATCH}, such as {near}")
    return side // PATCH


register_family(
    ViTFS,
    CONFIGS,
    input_size=(3, 224, 224),
    fixed_input_size=True,
    pool_size=None,
    interpolation="bicubic",
)
