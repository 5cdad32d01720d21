"""ToMe (arXiv 2210.09461): the most similar pairs are merged."""

from __future__ import annotations

import torch
from timm.models.vision_transformer import Block
from torch.nn import functional

from edge_fgir.models.reduction.method import ReductionMethod
from edge_fgir.models.reduction.reducer import Reducer
from edge_fgir.models.reduction.stage import Arrival, ReductionStage, TransformerShape
from edge_fgir.models.reduction.tokens import Tokens, attend, take


class ToMe(Reducer):
    """Every other token looks for its most similar partner; the closest pairs become their mean."""

    def forward(self, block: Block, tokens: Tokens, stage: ReductionStage) -> Tokens:
        """Return the tokens that the block's MLP sees."""
        after, projected = attend(block, tokens)
        merges = stage.tokens - stage.kept
        if not merges:
            return after
        prefix = self.layout.prefix
        with torch.no_grad():
            metric = functional.normalize(projected.k.mean(dim=1)[:, prefix:], dim=-1)
            # The first patch belongs to the partners: with a class token in front of it, as ToMe's
            # own count from the class token has it.
            likeness, partner = (metric[:, 1::2] @ metric[:, ::2].transpose(1, 2)).max(dim=2)
            source = likeness.topk(merges, dim=1).indices
            # The others in their order. Sorting all of them, LiteRT's converter cannot say.
            places = torch.arange(likeness.shape[1], device=source.device)
            picked = (source[..., None] == places).float().sum(dim=1)
            late = places + len(places) * picked
            rest = (-late).topk(len(places) - merges, dim=1).indices
            partners = partner.gather(1, source)
            count = metric[:, ::2].shape[1]
            # A product with zeros and ones: scatter-add is slow or missing on some runtimes.
            assigned = torch.arange(count, device=partners.device)[:, None] == partners[:, None]
            assigned = assigned.to(after.x.dtype)
        sizes = after.x.new_ones(*after.x.shape[:2], 1) if after.sizes is None else after.sizes
        local, weights = after.x[:, prefix:], sizes[:, prefix:]
        movers, mover_weights = local[:, 1::2], weights[:, 1::2]
        moved = take(mover_weights, source)
        sums = weights[:, ::2] + assigned @ moved
        weighted = local[:, ::2] * weights[:, ::2] + assigned @ (take(movers, source) * moved)
        x = (after.x[:, :prefix], take(movers, rest), weighted / sums)
        z = (sizes[:, :prefix], take(mover_weights, rest), sums)
        return Tokens(torch.cat(x, dim=1), sizes=torch.cat(z, dim=1))


def count(arrival: Arrival) -> int:
    """Return the tokens that are left of those that came in, half of which may be merged."""
    merged = min(arrival.planned_before - arrival.planned, arrival.reducible // 2)
    return arrival.tokens - merged


def macs(stage: ReductionStage, shape: TransformerShape) -> int:
    """Return the cost of comparing every pair by the mean of their heads' keys."""
    pairs = (stage.tokens + 1) // 2 * (stage.tokens // 2)
    return pairs * (shape.dim // shape.heads)


METHOD = ReductionMethod(
    name="tome",
    reducer=lambda layout, dim, stage: ToMe(layout),
    count=count,
    macs=macs,
    weightless=True,
    inside=True,
    least_rate=0.5,
)
