"""EViT (arXiv 2202.07800): what the class token attends to is kept, the others are fused."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from timm.models.vision_transformer import Block

from edge_fgir.models.reduction.method import ReductionMethod
from edge_fgir.models.reduction.reducer import Reducer
from edge_fgir.models.reduction.stage import Arrival, ReductionStage
from edge_fgir.models.reduction.tokens import Tokens, attend, attend_openly, take
from edge_fgir.models.transformer import Layout


class EViT(Reducer):
    """Keep the best-attended tokens, in the order of their scores.

    Args:
        layout: What stands in front of the patches.
        fuse: Sum the others, weighted by their scores, into one more token. Top-K does not.
    """

    def __init__(self, layout: Layout, *, fuse: bool) -> None:
        super().__init__(layout)
        self._fuses = fuse

    def forward(self, block: Block, tokens: Tokens, stage: ReductionStage) -> Tokens:
        """Return the tokens that the block's MLP sees."""
        if stage.kept == stage.tokens:
            return attend(block, tokens)[0]
        if self.layout.class_token:
            after, projected = attend(block, tokens)
            received = projected.scores()
        else:
            after, received = attend_openly(block, tokens)
        prefix = self.layout.prefix
        local, scores = after.x[:, prefix:], received[:, prefix:]
        best = scores.topk(stage.kept - prefix - self._fuses, dim=1)
        kept = take(local, best.indices)
        parts = [after.x[:, :prefix], kept]
        if self._fuses:
            # All minus kept: the others' own index would cost a sort or a scatter.
            parts.append(scores[:, None] @ local - best.values[:, None] @ kept)
        return replace(after, x=torch.cat(parts, dim=1))


def count(arrival: Arrival, *, fuse: bool = True) -> int:
    """Return the tokens of the prefix, the kept ones and the fused one."""
    kept = math.ceil(arrival.rate * arrival.reducible)
    return arrival.tokens if kept == arrival.reducible else arrival.prefix + kept + fuse


METHOD = ReductionMethod(
    name="evit",
    reducer=lambda layout, dim, stage: EViT(layout, fuse=True),
    count=count,
    weightless=True,
    inside=True,
    stage_rate=True,
)
