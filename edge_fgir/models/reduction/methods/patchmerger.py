"""PatchMerger (arXiv 2202.12015): soft merging by learned queries."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge_fgir.models.reduction.method import ReductionMethod, planned
from edge_fgir.models.reduction.soft import SoftMerging
from edge_fgir.models.reduction.stage import ReductionStage, TransformerShape
from edge_fgir.models.transformer import Layout


class PatchMerger(SoftMerging):
    """Mixing weights from learned queries, over normalised tokens.

    Args:
        layout: What stands in front of the patches.
        dim: Channels of a token.
        clusters: Tokens that are left behind the prefix.
    """

    def __init__(self, layout: Layout, dim: int, clusters: int) -> None:
        super().__init__(layout)
        self.norm = nn.LayerNorm(dim)
        self.queries = nn.Parameter(torch.randn(clusters, dim))

    def mix(self, x: Tensor) -> Tensor:
        """Return (B, clusters, D)."""
        x = self.norm(x)
        return (self.queries @ x.transpose(1, 2)).softmax(dim=-1) @ x


def macs(stage: ReductionStage, shape: TransformerShape) -> int:
    """Return the cost of comparing and mixing."""
    return 2 * (stage.kept - shape.prefix) * (stage.tokens - shape.prefix) * shape.dim


METHOD = ReductionMethod(
    name="patchmerger",
    reducer=lambda layout, dim, stage: PatchMerger(layout, dim, stage.kept - layout.prefix),
    count=planned,
    macs=macs,
    fixed=True,
)
