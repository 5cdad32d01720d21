"""DPC-KNN (arXiv 2204.08680): tokens are clustered around peaks of their density."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge_fgir.models.full_precision import full_precision
from edge_fgir.models.reduction.method import ReductionMethod
from edge_fgir.models.reduction.reducer import Reducer
from edge_fgir.models.reduction.stage import Arrival, ReductionStage, TransformerShape
from edge_fgir.models.reduction.tokens import Tokens, take
from edge_fgir.models.transformer import Layout

NEIGHBOURS = 5
"""Nearest neighbours that the density looks at; all stages but the last keep as many."""


class DPCKNN(Reducer):
    """Tokens join the nearest density peak and are averaged with learned weights.

    The authors add noise of up to 1e-6 to the densities, also in evaluation; here there is none, so
    that an answer repeats.

    Args:
        layout: What stands in front of the patches.
        dim: Channels of a token.
    """

    def __init__(self, layout: Layout, dim: int) -> None:
        super().__init__(layout)
        self.score = nn.Linear(dim, 1)

    def reduce(self, tokens: Tokens, stage: ReductionStage) -> Tokens:
        """Return the tokens that the whole block sees; the suffix is left alone."""
        end = stage.tokens - stage.suffix
        front, local, suffix = tokens.x.tensor_split((self.layout.prefix, end), dim=1)
        with torch.no_grad(), full_precision(local.device):
            clusters = cluster(local, stage.kept - self.layout.prefix - stage.suffix)
        weights = self.score(local).float().exp().to(local.dtype)
        sums = clusters.to(local.dtype) @ torch.cat((local * weights, weights), dim=2)
        merged = sums[..., :-1] / (sums[..., -1:] + 1e-6)
        return Tokens(torch.cat((front, merged, suffix), dim=1))


def cluster(x: Tensor, count: int) -> Tensor:
    """Assign tokens ``x`` (B, n, D) to ``count`` clusters: (B, count, n) of zeros and ones.

    Clusters come in descending order of their centres' scores. Distances are float32's.
    """
    x = x.float()
    square = (x * x).sum(dim=2)
    distances = square[:, :, None] + square[:, None] - 2 * x @ x.transpose(1, 2)
    distances = (distances.clamp(min=0) / x.shape[2]).sqrt()
    neighbours = min(NEIGHBOURS, x.shape[1])
    nearest = (-distances).topk(neighbours, dim=2).values
    density = (-(nearest**2).mean(dim=2)).exp()
    denser = density[:, None] > density[:, :, None]
    furthest = distances.amax(dim=(1, 2))[:, None, None]
    separation = torch.where(denser, distances, furthest).amin(dim=2)
    centres = (density * separation).topk(count, dim=1).indices
    to_centres = take(distances, centres)
    own = centres[..., None] == torch.arange(x.shape[1], device=x.device)
    # A centre belongs to itself, even where another lies on top of it.
    nearest_centre = (to_centres - 2 * furthest * own - own.float()).argmin(dim=1)
    numbers = torch.arange(count, device=x.device)[:, None]
    return (nearest_centre[:, None] == numbers).float()


def count(arrival: Arrival) -> int:
    """Return the prefix, the clusters and the suffix."""
    clusters = max(arrival.planned, 1 if arrival.last else NEIGHBOURS)
    return arrival.prefix + min(clusters, arrival.reducible - arrival.suffix) + arrival.suffix


def macs(stage: ReductionStage, shape: TransformerShape) -> int:
    """Return the cost of the scores."""
    return (stage.tokens - shape.prefix - stage.suffix) * shape.dim


METHOD = ReductionMethod(
    name="dpcknn",
    reducer=lambda layout, dim, stage: DPCKNN(layout, dim),
    count=count,
    macs=macs,
)
