"""The tokens of a batch, and the attention half of a block that works on them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from timm.layers import Attention
from timm.models.vision_transformer import Block
from torch import Tensor
from torch.nn import functional

from edge_fgir.models.full_precision import full_precision

NEVER = -1e4
"""Added to a logit that must not count; finite, and within float16's range."""

_EPSILON = 1e-6


@dataclass(frozen=True)
class Tokens:
    """A sequence: prefix tokens, patches and what became of them, cache tokens.

    Attributes:
        x: (B, N, D) residual stream.
        sizes: (B, N, 1) patches merged into each token; None: one (ToMe).
        real: (B, N) 1.0, or 0.0 for a copy that stands in for a dropped token; None: all (ATS).
        kept: (B, N, 1) 1.0, or 0.0 for a token that is only masked (DynamicViT in training), or
            that its predictor does not average.
    """

    x: Tensor
    sizes: Tensor | None = None
    real: Tensor | None = None
    kept: Tensor | None = None

    def append(self, more: Tensor, kept: float = 1.0) -> Tokens:
        """Return the sequence with ``more`` (B, M, D) tokens, of size one, at its end."""

        def filled(of: Tensor | None, value: float = 1.0) -> Tensor | None:
            if of is None:
                return None
            shape = (of.shape[0], more.shape[1], *of.shape[2:])
            return torch.cat((of, of.new_full(shape, value)), dim=1)

        x = torch.cat((self.x, more), dim=1)
        before = self.kept
        if before is None and kept != 1:
            before = self.x.new_ones(*self.x.shape[:2], 1)
        return Tokens(x, filled(self.sizes), filled(self.real), filled(before, kept))

    def key_bias(self) -> Tensor | None:
        """Return what is added to every query's logits, (B, 1, 1, N); None: nothing."""
        if self.sizes is not None:
            return self.sizes.log().transpose(1, 2)[:, None]
        if self.real is not None:
            return ((1 - self.real) * NEVER)[:, None, None]
        return None

    def mean(self, first: int, end: int) -> Tensor:
        """Return the mean of the real tokens from ``first`` to before ``end``, (B, 1, D)."""
        part = self.x[:, first:end]
        if self.real is None:
            return part.mean(dim=1, keepdim=True)
        weights = self.real[:, None, first:end]
        return weights @ part / weights.sum(dim=2, keepdim=True).clamp(min=1)


@dataclass(frozen=True)
class Projected:
    """Queries, keys and values, each (B, H, N, d)."""

    q: Tensor
    k: Tensor
    v: Tensor

    def scores(self) -> Tensor:
        """Return what the class token (query 0) attends to, averaged over heads, (B, N).

        As in arXiv 2202.07800. One row of the attention map is computed anew, so that the map
        itself may stay inside a fused kernel.
        """
        return self.attention(self.q[:, :, :1]).mean(dim=(1, 2))

    def attention(self, queries: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return the attention map of some queries, (B, H, Q, N)."""
        logits = queries * queries.shape[-1] ** -0.5 @ self.k.transpose(2, 3)
        shares: Tensor = (logits if bias is None else logits + bias).softmax(dim=-1)
        return shares


def project(attention: Attention, x: Tensor) -> Projected:
    """Return queries, keys and values of normalised tokens ``x``, (B, N, D)."""
    batch, count, _ = x.shape
    shape = (batch, count, 3, attention.num_heads, attention.head_dim)
    q, k, v = attention.qkv(x).view(shape).permute(2, 0, 3, 1, 4).unbind(0)
    return Projected(attention.q_norm(q), attention.k_norm(k), v)


def residual(block: Block, x: Tensor, heads: Tensor) -> Tensor:
    """Add attended values ``heads`` (B, H, N, d) to the residual stream ``x`` (B, N, D)."""
    y = block.attn.proj_drop(block.attn.proj(heads.transpose(1, 2).flatten(2)))
    added: Tensor = x + block.drop_path1(block.ls1(y))
    return added


def attend(block: Block, tokens: Tokens, queries: int | None = None) -> tuple[Tokens, Projected]:
    """Run the attention half of a block.

    Args:
        block: A timm block.
        tokens: What comes in.
        queries: Only the first so many tokens ask, and only they go on; None: all.

    Returns:
        The tokens after the attention residual, and what its attention saw.
    """
    projected = project(block.attn, block.norm1(tokens.x))
    if tokens.kept is not None and block.training:
        shares = _masked_attention(projected, tokens.kept)
        heads = block.attn.attn_drop(shares) @ projected.v
    else:
        heads = functional.scaled_dot_product_attention(
            projected.q[:, :, :queries],
            projected.k,
            projected.v,
            attn_mask=tokens.key_bias(),
            dropout_p=block.attn.attn_drop.p if block.training else 0.0,
        )
    x = residual(block, tokens.x[:, :queries], heads)
    return replace(tokens, x=x), projected


def attend_openly(block: Block, tokens: Tokens) -> tuple[Tokens, Tensor]:
    """Run the attention half of a block with its map at hand.

    Returns:
        The tokens after the attention residual, and the attention that each received on average
        over heads and queries, (B, N): the score where there is no class token (ours).
    """
    projected = project(block.attn, block.norm1(tokens.x))
    shares = projected.attention(projected.q, tokens.key_bias())
    x = residual(block, tokens.x, block.attn.attn_drop(shares) @ projected.v)
    return replace(tokens, x=x), shares.mean(dim=(1, 2))


def _masked_attention(projected: Projected, kept: Tensor) -> Tensor:
    """Return attention in which dropped tokens are met by themselves alone (arXiv 2106.02034).

    In float32; a small constant keeps rows of dropped tokens finite, as in the authors' code.
    """
    with full_precision(kept.device):
        q, k, mask = projected.q.float(), projected.k.float(), kept.float()
        logits = q * q.shape[-1] ** -0.5 @ k.transpose(2, 3)
        count = logits.shape[-1]
        own = torch.eye(count, device=mask.device)
        allowed = mask.transpose(1, 2)[:, None] * (1 - own) + own
        raised = (logits - logits.amax(dim=-1, keepdim=True)).exp() * allowed
        shares = (raised + _EPSILON / count) / (raised.sum(dim=-1, keepdim=True) + _EPSILON)
    masked: Tensor = shares.to(projected.v.dtype)
    return masked


def take(x: Tensor, index: Tensor) -> Tensor:
    """Return the tokens (B, M, D) of ``x`` (B, N, D) at ``index`` (B, M)."""
    if len(x) == 1:  # on a device: M indices instead of M times D
        return x.index_select(1, index[0])
    return x.gather(1, index[..., None].expand(-1, -1, x.shape[2]))
