"""DynamicViT (arXiv 2106.02034): a predictor learns which tokens to keep."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_fgir.models.reduction.method import ReductionMethod, planned
from edge_fgir.models.reduction.reducer import Reducer
from edge_fgir.models.reduction.stage import Arrival, ReductionStage, TransformerShape
from edge_fgir.models.reduction.tokens import Tokens, take
from edge_fgir.models.transformer import Layout

RATIO_WEIGHT = 2.0
"""Weight of the ratio loss beside the classification loss."""


class DynamicViT(Reducer):
    """A small predictor decides. Dropped tokens are masked in training and removed in evaluation.

    Args:
        layout: What stands in front of the patches.
        dim: Channels of a token.
        share: Share of the tokens that is to be left after this stage.
    """

    def __init__(self, layout: Layout, dim: int, share: float) -> None:
        super().__init__(layout)
        self.share = share
        self.project = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim), nn.GELU())
        self.decide = nn.Sequential(
            nn.Linear(dim, dim // 2),
            nn.GELU(),
            nn.Linear(dim // 2, dim // 4),
            nn.GELU(),
            nn.Linear(dim // 4, 2),
            nn.LogSoftmax(dim=-1),
        )

    def reduce(self, tokens: Tokens, stage: ReductionStage) -> Tokens:
        """Return the tokens that the whole block sees."""
        prefix = self.layout.prefix
        kept = tokens.x.new_ones(*tokens.x.shape[:2], 1) if tokens.kept is None else tokens.kept
        decisions = self.predict(tokens.x[:, prefix:], kept[:, prefix:])
        if self.training:
            drawn = functional.gumbel_softmax(decisions.float(), hard=True)[..., :1]
            now = drawn.to(kept.dtype) * kept[:, prefix:]
            missed = ((now.mean(dim=1) - self.share) ** 2).mean()
            self.penalties.append(RATIO_WEIGHT * missed)
            return replace(tokens, kept=torch.cat((kept[:, :prefix], now), dim=1))
        best = decisions[..., 0].topk(stage.kept - prefix, dim=1).indices

        def chosen(of: Tensor) -> Tensor:
            return torch.cat((of[:, :prefix], take(of[:, prefix:], best)), dim=1)

        left = None if tokens.kept is None else chosen(kept)
        return replace(tokens, x=chosen(tokens.x), kept=left)

    def predict(self, x: Tensor, kept: Tensor) -> Tensor:
        """Return log-probabilities (keep, drop) of tokens ``x`` (B, n, D), shape (B, n, 2)."""
        own, shared = self.project(x).chunk(2, dim=-1)
        # The authors add the constant to the quotient, not to the divisor.
        mean = (shared * kept).sum(dim=1, keepdim=True) / kept.sum(dim=1, keepdim=True) + 1e-6
        answer: Tensor = self.decide(torch.cat((own, mean.expand_as(own)), dim=-1))
        return answer


def count(arrival: Arrival) -> int:
    """Count by plan; with a cross-layer cache by the stage's own rate."""
    if arrival.cached:
        left = math.floor(arrival.rate * (arrival.reducible - 1))
        arrival = replace(arrival, planned=left)
    return planned(arrival)


def macs(stage: ReductionStage, shape: TransformerShape) -> int:
    """Return the cost of the predictor."""
    dim = shape.dim
    token = dim**2 + dim * dim // 2 + dim // 2 * (dim // 4) + dim // 4 * 2
    return (stage.tokens - shape.prefix) * token


METHOD = ReductionMethod(
    name="dynamicvit",
    reducer=lambda layout, dim, stage: DynamicViT(layout, dim, stage.share),
    count=count,
    macs=macs,
)
