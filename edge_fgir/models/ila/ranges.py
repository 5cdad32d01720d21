"""How large the residual stream grows behind every block (spec ILA section 15.5)."""

from __future__ import annotations

import torch

from edge_fgir.models.ila.vit import AdaptedViT
from edge_fgir.models.inference import normalized_batches
from edge_fgir.results import BlockRange
from edge_fgir.runtime import Pixels
from edge_fgir.runtime.manifest import Normalization


@torch.inference_mode()
def residual_ranges(
    model: AdaptedViT, images: Pixels, normalization: Normalization
) -> list[BlockRange]:
    """Measure the stream of a model in evaluation mode on (N, S, S, 3) pictures."""
    device = next(model.parameters()).device
    prefix = model.layout.prefix
    blocks = len(model.backbone.blocks)
    tokens, firsts, others = [0] * blocks, [0.0] * blocks, [0.0] * blocks
    for batch in normalized_batches(images, normalization, device):
        x = model.embed(batch)
        for index in range(blocks):
            x = model.block(index, x)
            size, tokens[index] = x.abs(), x.shape[1]
            if prefix:
                firsts[index] = max(firsts[index], float(size[:, :prefix].max()))
            others[index] = max(others[index], float(size[:, prefix:].max()))
    ranges = zip(range(blocks), tokens, firsts, others, strict=True)
    return [
        BlockRange(block=block, tokens=count, prefix=first, patches=other)
        for block, count, first, other in ranges
    ]
