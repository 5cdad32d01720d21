"""How many tokens every block sees, and what that costs, by arithmetic alone (arXiv 2501.00243).

See docs/science/clca.md#frame, #clc and #operations.

All counts are Python integers that follow from the settings and the number of patches, so a graph
of fixed shapes can be exported for every setting. They are computed in double precision like the
authors' own: 0.7 * n may lie just above an integer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge_fgir._errors import InputError
from edge_fgir.models.reduction.cla import MULTIPLIER
from edge_fgir.models.reduction.method import METHODS
from edge_fgir.models.reduction.options import Reduction
from edge_fgir.models.reduction.stage import Arrival, ReductionStage, TransformerShape

_MLP_RATIO = 4


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
class TokenSchedule:
    """A transformer's blocks and reductions."""

    blocks: tuple[BlockPlan, ...]
    stages: tuple[ReductionStage, ...]

    def stage(self, block: int) -> ReductionStage | None:
        """Return the reduction at a block, if there is one."""
        return next((stage for stage in self.stages if stage.block == block), None)


def make_schedule(reduction: Reduction, patches: int, *, prefix: int, depth: int) -> TokenSchedule:
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
    method = METHODS[reduction.method]
    clc = reduction.clr_tokens > 0
    # The last recovery is before the last block: tokens appended after it would meet no attention.
    final = {depth - 2} if reduction.clc_recover_at_last else set()
    recoveries = {*reduction.blocks, *final} if clc else set()
    tokens = prefix + patches + reduction.clr_tokens
    cached, suffix = 0, reduction.clr_tokens
    blocks: list[BlockPlan] = []
    stages: list[ReductionStage] = []
    for index in range(depth):
        attention = mlp = tokens
        if index in reduction.blocks:
            number = len(stages)
            share = reduction.share_left(number)
            arrival = Arrival(
                tokens=tokens,
                prefix=prefix,
                suffix=suffix,
                rate=reduction.rates[number],
                planned=math.floor(patches * share),
                planned_before=math.floor(patches * reduction.share_left(number - 1)),
                least=0 if reduction.reference_counts else 1,
                cached=clc,
                last=number == len(reduction.blocks) - 1,
            )
            mlp = method.count(arrival) if reduction.reduces else tokens
            stages.append(ReductionStage(index, tokens, mlp, suffix, share))
            if not method.inside:
                attention = mlp
        tokens = mlp
        recovered = 0
        if index in recoveries:
            recovered, cached = cached, 0
            tokens += recovered
            suffix += recovered
        caches = clc and index < max(recoveries)
        cached += (reduction.clc_include_gap + reduction.clr_tokens) * caches
        blocks.append(BlockPlan(attention, mlp, recovered, caches))
    return TokenSchedule(tuple(blocks), tuple(stages))


def macs(
    schedule: TokenSchedule, reduction: Reduction, patches: int, shape: TransformerShape
) -> int:
    """Return multiply-accumulates of one image as docs/science/clca.md#operations counts them.

    Elementwise work, normalisation and pooling are not counted, nor is what EViT and Top-K take for
    their scores (one row of attention).
    """
    dim = shape.dim
    total = patches * dim * 3 * shape.patch**2
    for index, block in enumerate(schedule.blocks):
        a, m = block.attention, block.mlp
        total += 4 * a * dim**2 + 2 * a**2 * dim + 2 * _MLP_RATIO * m * dim**2
        stage = schedule.stage(index)
        if stage is not None and stage.kept < stage.tokens:
            total += METHODS[reduction.method].macs(stage, shape)
    groups = len(reduction.blocks) + 1
    head = dim * shape.num_classes
    if not reduction.cla:
        return total + head
    width = MULTIPLIER if reduction.cla_head == "depthwise" else 1
    return total + width * (dim * groups + head)
