"""SiT (arXiv 2111.12624): soft merging by an MLP of each token."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge_fgir.models.reduction.method import ReductionMethod, planned
from edge_fgir.models.reduction.soft import SoftMerging
from edge_fgir.models.reduction.stage import ReductionStage, TransformerShape
from edge_fgir.models.transformer import Layout


class SiT(SoftMerging):
    """Mixing weights from an MLP of each token.

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


def macs(stage: ReductionStage, shape: TransformerShape) -> int:
    """Return the cost of the MLP and of mixing."""
    n, k, dim = stage.tokens - shape.prefix, stage.kept - shape.prefix, shape.dim
    return n * dim**2 // 2 + n * k * dim // 2 + k * n * dim


METHOD = ReductionMethod(
    name="sit",
    reducer=lambda layout, dim, stage: SiT(layout, dim, stage.kept - layout.prefix),
    count=planned,
    macs=macs,
    fixed=True,
)
