"""Soft merging: every token left is a mixture of all (SiT, PatchMerger; spec CLCA 1.7, 1.8)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge_fgir.models.reduction.layout import Layout
from edge_fgir.models.reduction.reducer import Reducer
from edge_fgir.models.reduction.schedule import Stage
from edge_fgir.models.reduction.tokens import Tokens


class _SoftMerging(Reducer):
    def reduce(self, tokens: Tokens, stage: Stage) -> Tokens:
        """Return the tokens that the whole block sees."""
        prefix = self.layout.prefix
        mixed = self.mix(tokens.x[:, prefix:])
        return Tokens(torch.cat((tokens.x[:, :prefix], mixed), dim=1))

    def mix(self, x: Tensor) -> Tensor:
        """Return mixtures of the tokens ``x`` (B, n, D) behind the prefix."""
        raise NotImplementedError


class SiT(_SoftMerging):
    """Mixing weights from an MLP of each token (arXiv 2111.12624).

    Args:
        layout: What stands in front of the patches.
        dim: Channels of a token.
        clusters: Tokens that are left behind the prefix.
    """

    def __init__(self, layout: Layout, dim: int, clusters: int) -> None:
        super().__init__(layout)
        self.weight = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, dim // 2), nn.GELU(), nn.Linear(dim // 2, clusters)
        )
        self.scale = nn.Parameter(torch.ones(1, 1, 1))

    def mix(self, x: Tensor) -> Tensor:
        """Return (B, clusters, D)."""
        shares: Tensor = (self.scale * self.weight(x)).softmax(dim=1)
        return shares.transpose(1, 2) @ x


class PatchMerger(_SoftMerging):
    """Mixing weights from learned queries, over normalised tokens (arXiv 2202.12015).

    Arguments as of :class:`SiT`.
    """

    def __init__(self, layout: Layout, dim: int, clusters: int) -> None:
        super().__init__(layout)
        self.norm = nn.LayerNorm(dim)
        self.queries = nn.Parameter(torch.randn(clusters, dim))

    def mix(self, x: Tensor) -> Tensor:
        """Return (B, clusters, D)."""
        x = self.norm(x)
        return (self.queries @ x.transpose(1, 2)).softmax(dim=-1) @ x
