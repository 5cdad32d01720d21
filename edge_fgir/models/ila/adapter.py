"""The adapters: between two blocks, with and without down-sampling, and inside a block.

arXiv 2409.11051; docs/science/ila.md#adapter and #variants.
"""

from __future__ import annotations

from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_fgir.models.affine import affine_of
from edge_fgir.models.full_precision import full_precision

KERNEL = 3
"""Side of the adapters' convolutions, patches."""

RING = KERNEL - 1
"""Patches that a grid's side loses in a down-sampling."""

_RESIDUAL_STD = 1e-3
_BIAS_STD = 1e-6


class Bottleneck(nn.Module):
    """Branch A: (B, N, D) tokens down to k channels, over the grid, and up again.

    Prefix tokens take a linear layer of their own in place of the convolutions.

    Args:
        dim: Channels D of a token.
        width: k.
        prefix: Tokens in front of the patches.
        padding: Of the depth-wise convolution; 0: the grid loses its outer ring.
        dropout: Of the result, in training.
    """

    def __init__(self, dim: int, width: int, prefix: int, *, padding: int, dropout: float) -> None:
        super().__init__()
        self._prefix = prefix
        self.down = nn.Linear(dim, width)
        self.norm_down: nn.Module = nn.BatchNorm1d(width)
        self.prefix = nn.Linear(width, width) if prefix else None
        self.depthwise = nn.Conv2d(width, width, KERNEL, padding=padding, groups=width)
        self.norm_depthwise: nn.Module = nn.BatchNorm2d(width)
        self.pointwise = nn.Conv2d(width, width, 1)
        self.norm_up: nn.Module = nn.BatchNorm1d(width)
        self.up = nn.Linear(width, dim)
        self.dropout = nn.Dropout(dropout)
        for layer in (self.down, self.prefix, self.depthwise, self.pointwise, self.up):
            if layer is not None:
                nn.init.xavier_uniform_(layer.weight)
        for layer in (self.down, self.up):
            nn.init.normal_(layer.bias, std=_BIAS_STD)

    def forward(self, x: Tensor) -> Tensor:
        """Return what is added, (B, N', D)."""
        # Channels first, (B, k, N), as BatchNorm and convolutions take them.
        z = functional.gelu(self.norm_down(self.down(x).transpose(1, 2)))
        maps = as_maps(z[:, :, self._prefix :])
        maps = self.pointwise(functional.gelu(self.norm_depthwise(self.depthwise(maps))))
        y = maps.flatten(2)
        if self.prefix is not None:
            first = self.prefix(z[:, :, : self._prefix].transpose(1, 2)).transpose(1, 2)
            y = torch.cat((first, y), dim=2)
        y = functional.gelu(self.norm_up(y)).transpose(1, 2)
        added: Tensor = self.dropout(self.up(y))
        return added

    def fold(self) -> None:
        """Fold the BatchNorms into the layers in front of them, exact in evaluation.

        The last one follows a concatenation, so it goes into both of its parts.
        """
        _fold(self.norm_down, self.down)
        _fold(self.norm_depthwise, self.depthwise)
        _fold(self.norm_up, self.pointwise)
        if self.prefix is not None:
            _fold(self.norm_up, self.prefix)
        self.norm_down = self.norm_depthwise = self.norm_up = nn.Identity()


class DownSampling(nn.Module):
    """The down-sampling adapter: (B, N, D) tokens of a g x g grid to those of (g - 2) x (g - 2).

    To Branch A is added Branch B: prefix tokens as they are, patches under one depth-wise
    convolution whose weights start near ``residual``.

    Args:
        dim: Channels D of a token.
        width: k of Branch A.
        prefix: Tokens in front of the patches.
        residual: Mean of Branch B's first weights; 1: nine patches are summed.
        dropout: Of Branch A, in training.
    """

    def __init__(
        self, dim: int, width: int, prefix: int, *, residual: float, dropout: float
    ) -> None:
        super().__init__()
        self._prefix = prefix
        self.bottleneck = Bottleneck(dim, width, prefix, padding=0, dropout=dropout)
        self.residual = nn.Conv2d(dim, dim, KERNEL, groups=dim, bias=False)
        nn.init.normal_(self.residual.weight, residual, residual * _RESIDUAL_STD)

    def forward(self, x: Tensor) -> Tensor:
        """Return the tokens of the next block, (B, N', D)."""
        maps = as_maps(x[:, self._prefix :].transpose(1, 2))
        with full_precision(x.device):  # mixed precision would round the stream from here on
            y = self.residual(maps.float()).flatten(2).transpose(1, 2)
        if self._prefix:
            y = torch.cat((x[:, : self._prefix], y), dim=1)
        adapted: Tensor = y + self.bottleneck(x)
        return adapted


class Padded(nn.Module):
    """Its sibling that keeps the grid (ILA+): Branch A with padding, added to the tokens.

    Args:
        dim: Channels D of a token.
        width: k of Branch A.
        prefix: Tokens in front of the patches.
        dropout: Of Branch A, in training.
    """

    def __init__(self, dim: int, width: int, prefix: int, *, dropout: float) -> None:
        super().__init__()
        self.bottleneck = Bottleneck(dim, width, prefix, padding=KERNEL // 2, dropout=dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return the tokens of the next block, (B, N, D)."""
        adapted: Tensor = x + self.bottleneck(x)
        return adapted


class LinearAdapter(nn.Module):
    """Down, GELU, up: (B, N, D) to (B, N, D).

    Args:
        dim: Channels D of a token.
        width: Channels between.
        dropout: Of the result, in training.
    """

    def __init__(self, dim: int, width: int, *, dropout: float) -> None:
        super().__init__()
        self.down = nn.Linear(dim, width)
        self.up = nn.Linear(width, dim)
        self.dropout = nn.Dropout(dropout)
        for layer in (self.down, self.up):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return what is added."""
        added: Tensor = self.dropout(self.up(functional.gelu(self.down(x))))
        return added


class BlockAdapters(nn.Module):
    """Linear adapters beside attention and MLP of one block (ILA++), reading what those read.

    Args:
        dim: Channels D of a token.
        width: Channels between.
        dropout: In training.
    """

    def __init__(self, dim: int, width: int, *, dropout: float) -> None:
        super().__init__()
        self.attention = LinearAdapter(dim, width, dropout=dropout)
        self.mlp = LinearAdapter(dim, width, dropout=dropout)

    def forward(self, block: Any, x: Tensor) -> Tensor:
        """Run a timm ``Block`` on tokens (B, N, D) with the adapters beside its halves.

        LayerScale and stochastic depth are the block's own and do not touch what adapters add.
        """
        y = block.norm1(x)
        x = x + block.drop_path1(block.ls1(block.attn(y))) + self.attention(y)
        y = block.norm2(x)
        adapted: Tensor = x + block.drop_path2(block.ls2(block.mlp(y))) + self.mlp(y)
        return adapted


def as_maps(tokens: Tensor) -> Tensor:
    """Return (B, C, N) tokens of a square grid, row-major, as (B, C, g, g)."""
    side = isqrt(tokens.shape[2])
    maps: Tensor = tokens.unflatten(2, (side, side))
    return maps


def _fold(norm: nn.Module, layer: nn.Linear | nn.Conv2d) -> None:
    """Fold a BatchNorm into the layer whose output it normalises."""
    assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
    scale, shift = affine_of(norm)
    weight = layer.weight.detach() * scale.view(-1, *[1] * (layer.weight.dim() - 1))
    layer.weight = nn.Parameter(weight)
    layer.bias = nn.Parameter(layer.bias.detach() * scale + shift)  # type: ignore[union-attr]
