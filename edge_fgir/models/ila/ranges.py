"""How large the residual stream grows behind every block (spec ILA section 15.5)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from edge_fgir.models.ila.vit import AdaptedViT
from edge_fgir.models.inference import normalized_batches
from edge_fgir.runtime import Pixels
from edge_fgir.runtime.manifest import Normalization


@dataclass(frozen=True)
class BlockRange:
    """The largest magnitudes behind one block and its adapter.

    Attributes:
        block: Counted from 0.
        tokens: How many there are, prefix tokens included.
        prefix: Of class token and registers; 0 without any.
        patches: Of the patches, which a down-sampling sums up.
    """

    block: int
    tokens: int
    prefix: float
    patches: float

    @property
    def largest(self) -> float:
        """Of all tokens."""
        return max(self.prefix, self.patches)


@torch.inference_mode()
def residual_ranges(
    model: AdaptedViT, images: Pixels, normalization: Normalization
) -> list[BlockRange]:
    """Measure the stream of a model in evaluation mode on (N, S, S, 3) pictures."""
    device = next(model.parameters()).device
    prefix = model.layout.prefix
    found: dict[int, BlockRange] = {}
    for batch in normalized_batches(images, normalization, device):
        x = model.embed(batch)
        for index in range(len(model.backbone.blocks)):
            x = model.block(index, x)
            size = x.abs()
            first = float(size[:, :prefix].max()) if prefix else 0.0
            patches = float(size[:, prefix:].max())
            before = found.get(index, BlockRange(index, 0, 0.0, 0.0))
            found[index] = BlockRange(
                index, x.shape[1], max(first, before.prefix), max(patches, before.patches)
            )
    return list(found.values())
