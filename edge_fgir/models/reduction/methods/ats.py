"""ATS (arXiv 2111.15667): tokens are sampled by their significance."""

from __future__ import annotations

import torch
from timm.models.vision_transformer import Block
from torch import Tensor

from edge_fgir.models.reduction.method import ReductionMethod, planned
from edge_fgir.models.reduction.reducer import Reducer
from edge_fgir.models.reduction.stage import ReductionStage, TransformerShape
from edge_fgir.models.reduction.tokens import Tokens, project, residual, take

_FAR = 2.0


class ATS(Reducer):
    """Inverse transform sampling over attention times value norm.

    An image keeps as many tokens as its samples differ. Shapes stay fixed: a sample drawn twice
    keeps its place as a copy that no token looks at any more.
    """

    def forward(self, block: Block, tokens: Tokens, stage: ReductionStage) -> Tokens:
        """Return the tokens that the block's MLP sees."""
        prefix, samples = self.layout.prefix, stage.kept - self.layout.prefix
        projected = project(block.attn, block.norm1(tokens.x))
        attention = projected.attention(projected.q, tokens.key_bias())
        queries = attention[:, :, :1] if self.layout.class_token else attention
        received = queries.mean(dim=2)[:, :, prefix:]
        significance = (received * projected.v[:, :, prefix:].norm(dim=-1)).sum(dim=1)
        chosen = sample(significance, tokens.real, samples, prefix)
        front = torch.arange(prefix, device=chosen.device).expand(len(chosen), -1)
        index = torch.cat((front, chosen + prefix), dim=1)
        rows = attention.gather(
            2, index[:, None, :, None].expand(-1, attention.shape[1], -1, attention.shape[3])
        )
        x = residual(block, take(tokens.x, index), block.attn.attn_drop(rows) @ projected.v)
        again = torch.cat(
            (chosen.new_zeros(len(chosen), 1), chosen[:, 1:] == chosen[:, :-1]), dim=1
        )
        real = torch.cat((torch.ones_like(front), 1 - again.long()), dim=1).to(x.dtype)
        return Tokens(x, real=real)


def sample(significance: Tensor, real: Tensor | None, samples: int, prefix: int) -> Tensor:
    """Return the tokens nearest to evenly spaced quantiles, ascending, repeats included.

    Args:
        significance: (B, n) of the tokens behind the prefix, not negative.
        real: (B, prefix + n) 0.0 for tokens not to be drawn; None: all may.
        samples: Quantiles.
        prefix: Tokens in front.

    Returns:
        (B, samples) indices into the n tokens.
    """
    shares = significance.float()
    if real is not None:
        shares = shares * real[:, prefix:]
    shares = shares / (shares.sum(dim=1, keepdim=True) + 1e-6)
    cumulated = shares.cumsum(dim=1)
    if real is not None:
        cumulated = cumulated + (1 - real[:, prefix:]) * _FAR
    steps = torch.arange(1, samples + 1, device=shares.device)
    grid = (2 * steps - 1) / (2 * (samples + 1))
    return (cumulated[:, None] - grid[:, None]).abs().argmin(dim=2)


def macs(stage: ReductionStage, shape: TransformerShape) -> int:
    """Return what is spared: only the chosen queries meet the values and the projection."""
    return (stage.kept - stage.tokens) * shape.dim * (shape.dim + stage.tokens)


METHOD = ReductionMethod(
    name="ats",
    reducer=lambda layout, dim, stage: ATS(layout),
    count=planned,
    macs=macs,
    weightless=True,
    inside=True,
    adaptive=True,
)
