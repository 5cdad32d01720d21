"""How large the residual stream grows behind every block (docs/science/ila.md)."""

from __future__ import annotations

import torch

from edge_fgir.models.inference import normalized_batches
from edge_fgir.models.wrapper import Wrapper
from edge_fgir.results import BlockRange
from edge_fgir.runtime import Normalization, Pixels


@torch.inference_mode()
def residual_ranges(
    network: Wrapper, images: Pixels, normalization: Normalization
) -> list[BlockRange]:
    """Measure the stream of a network in evaluation mode on (N, S, S, 3) pictures.

    Returns nothing for a network whose stream no adapter changes.
    """
    device = next(network.backbone.parameters()).device
    prefix = network.prefix
    ranges: dict[int, BlockRange] = {}
    for batch in normalized_batches(images, normalization, device):
        for block, x in enumerate(network.residual_stream(batch)):
            size, before = x.abs(), ranges.get(block)
            first = float(size[:, :prefix].max()) if prefix else 0.0
            patches = float(size[:, prefix:].max())
            if before is not None:
                first, patches = max(first, before.prefix), max(patches, before.patches)
            ranges[block] = BlockRange(
                block=block, tokens=x.shape[1], prefix=first, patches=patches
            )
    return list(ranges.values())
