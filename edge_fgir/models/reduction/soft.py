"""Soft merging: every token left is a mixture of all (SiT, PatchMerger; spec CLCA 1.7, 1.8)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge_fgir.models.reduction.layout import Layout
from edge_fgir.models.reduction.reducer import Reducer
from edge_fgir.models.reduction.schedule import Stage
from edge_fgir.models.reduction.tokens import Tokens


class SiT(Reducer):
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

    def reduce(self, tokens: Tokens, stage: Stage) -> Tokens:
        """Return the tokens that the whole block sees."""
        local = tokens.x[:, self.layout.prefix :]
        logits: Tensor = self.scale * self.weight(local)
        mixed = logits.softmax(dim=1).transpose(1, 2) @ local
        return Tokens(torch.cat((tokens.x[:, : self.layout.prefix], mixed), dim=1))


class PatchMerger(Reducer):
    """Mixing weights from learned queries, over normalised tokens (arXiv 2202.12015).

    Args:
        layout: What stands in front of the patches.
        dim: Channels of a token.
        clusters: Tokens that are left behind the prefix.
    """

    def __init__(self, layout: Layout, dim: int, clusters: int) -> None:
        super().__init__(layout)
        self.norm = nn.LayerNorm(dim)
        self.queries = nn.Parameter(torch.randn(clusters, dim))

    def reduce(self, tokens: Tokens, stage: Stage) -> Tokens:
        """Return the tokens that the whole block sees."""
        local = self.norm(tokens.x[:, self.layout.prefix :])
        mixed = (self.queries @ local.transpose(1, 2)).softmax(dim=-1) @ local
        return Tokens(torch.cat((tokens.x[:, : self.layout.prefix], mixed), dim=1))
