"""How many tokens every block sees, and what that costs: arithmetic alone (spec CLCA 1.0, 3, 5.2).

All counts are Python integers that follow from the settings and the number of patches, so a graph
of fixed shapes can be exported for every setting. They are computed in double precision like the
authors' own: 0.7 * n may lie just above an integer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge_fgir._errors import InputError
from edge_fgir.models.reduction.options import Method, Reduction

INSIDE: frozenset[Method] = frozenset({"evit", "topk", "tome", "ats"})
"""Methods that reduce between a block's attention and its MLP; the others in front of it."""

DPCKNN_NEIGHBOURS = 5
"""Nearest neighbours that DPC-KNN's density looks at; all stages but the last keep as many."""

_MLP_RATIO = 4


@dataclass(frozen=True)
class Stage:
    """One reduction.

    Attributes:
        block: Where, counted from 0.
        tokens: Tokens that come in, all of them.
        kept: Tokens that go on.
        suffix: Tokens at the end that DPC-KNN leaves alone.
    """

    block: int
    tokens: int
    kept: int
    suffix: int


@dataclass(frozen=True)
class BlockPlan:
    """One block.

    Attributes:
        attention: Tokens that its attention sees.
        mlp: Tokens that its MLP sees.
        recovered: Cached tokens appended after it (CLC).
        caches: Whether its tokens are cached (CLC).
    """

    attention: int
    mlp: int
    recovered: int
    caches: bool


@dataclass(frozen=True)
class Schedule:
    """A transformer's blocks and reductions."""

    blocks: tuple[BlockPlan, ...]
    stages: tuple[Stage, ...]

    def stage(self, block: int) -> Stage | None:
        """Return the reduction at a block, if there is one."""
        return next((stage for stage in self.stages if stage.block == block), None)


def make_schedule(reduction: Reduction, patches: int, *, prefix: int, depth: int) -> Schedule:
    """Return the tokens of every block.

    Args:
        reduction: The settings.
        patches: Np, patches of the image.
        prefix: Tokens in front of the patches that are never dropped (1: a class token).
        depth: Number of blocks.

    Raises:
        InputError: A block does not exist, or is the last.
    """
    last = max(reduction.blocks)
    if last > depth - 2:
        raise InputError(
            f"a reduction at block {last} of {depth}",
            f"blocks 1 to {depth - 2}: after the last block nothing is read but the class token",
        )
    clc = reduction.clr_tokens > 0
    # The last recovery is before the last block: tokens appended after it would meet no attention.
    recoveries = {*reduction.blocks, depth - 2} if clc else set()
    tokens = prefix + patches + reduction.clr_tokens
    cached, suffix = 0, reduction.clr_tokens
    blocks: list[BlockPlan] = []
    stages: list[Stage] = []
    for index in range(depth):
        attention = mlp = tokens
        if index in reduction.blocks:
            number = len(stages)
            mlp = _kept(reduction, number, tokens, patches, prefix, suffix)
            stages.append(Stage(index, tokens, mlp, suffix))
            if reduction.method not in INSIDE:
                attention = mlp
        tokens = mlp
        recovered = 0
        if index in recoveries:
            recovered, cached = cached, 0
            tokens += recovered
            suffix += recovered
        caches = clc and index < max(recoveries)
        cached += (1 + reduction.clr_tokens) * caches
        blocks.append(BlockPlan(attention, mlp, recovered, caches))
    return Schedule(tuple(blocks), tuple(stages))


def _kept(
    reduction: Reduction, number: int, tokens: int, patches: int, prefix: int, suffix: int
) -> int:
    """Return all tokens after stage ``number``."""
    rate, here = reduction.rates[number], tokens - prefix
    left = math.floor(patches * reduction.share_left(number))
    least = 0 if reduction.reference_counts else 1
    method = reduction.method
    if not reduction.reduces or method == "none":
        return tokens
    if method in ("evit", "topk"):
        kept = math.ceil(rate * here)
        if kept == here:
            return tokens
        return prefix + kept + (method == "evit")
    if method == "tome":
        before = math.floor(patches * reduction.share_left(number - 1)) if number else patches
        return tokens - min(before - left, here // 2)
    if method == "dpcknn":
        last = number == len(reduction.blocks) - 1
        clusters = max(left, 1 if last else DPCKNN_NEIGHBOURS)
        return prefix + min(clusters, here - suffix) + suffix
    if method == "dynamicvit" and reduction.clr_tokens:
        left = math.floor(rate * (here - 1))
    return prefix + min(max(left, least), here)


@dataclass(frozen=True)
class Shape:
    """What a transformer's cost depends on beside its tokens.

    Attributes:
        dim: D, channels of a token.
        heads: Attention heads.
        patch: Side of a patch, pixels.
        num_classes: K.
        prefix: Tokens in front of the patches.
    """

    dim: int
    heads: int
    patch: int
    num_classes: int
    prefix: int = 1


def macs(schedule: Schedule, reduction: Reduction, patches: int, shape: Shape) -> int:
    """Return multiply-accumulates of one image by the formula of spec CLCA section 5.2.

    Elementwise work, normalisation and pooling are not counted, nor is what EViT and Top-K take for
    their scores (one row of attention).
    """
    dim = shape.dim
    total = patches * dim * 3 * shape.patch**2
    for index, block in enumerate(schedule.blocks):
        a, m = block.attention, block.mlp
        stage = schedule.stage(index)
        if stage is not None and reduction.method == "ats" and stage.kept < stage.tokens:
            # Only chosen queries meet the values and the projection.
            total += 3 * a * dim**2 + a**2 * dim + m * a * dim + m * dim**2
        else:
            total += 4 * a * dim**2 + 2 * a**2 * dim
        total += 2 * _MLP_RATIO * m * dim**2
        if stage is not None and stage.kept < stage.tokens:
            total += _reducer_macs(reduction.method, stage, shape)
    groups = len(reduction.blocks) + 1
    head = dim * shape.num_classes
    return total + (2 * dim * groups + 2 * head if reduction.cla else head)


def _reducer_macs(method: Method, stage: Stage, shape: Shape) -> int:
    dim = shape.dim
    n, k = stage.tokens - shape.prefix, stage.kept - shape.prefix
    if method == "tome":
        pairs = (stage.tokens + 1) // 2 * (stage.tokens // 2)
        return pairs * (dim // shape.heads)
    if method == "dynamicvit":
        return n * (dim**2 + dim * dim // 2 + dim // 2 * (dim // 4) + dim // 4 * 2)
    if method == "sit":
        return n * dim**2 // 2 + n * k * dim // 2 + k * n * dim
    if method == "patchmerger":
        return 2 * k * n * dim
    if method == "dpcknn":
        return (n - stage.suffix) * dim
    return 0
