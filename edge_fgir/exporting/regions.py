"""Whether a bundle looks again where torch does: a near-tie moves a box, and scores forgive it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from edge_fgir.exporting.graph import REGION, SIMILARITY
from edge_fgir.models import as_wrapper, normalized_batches
from edge_fgir.results import RegionsReport
from edge_fgir.runs import TrainedModel
from edge_fgir.runtime import ExplanationSpec, Normalization, Pixels

Regions = npt.NDArray[np.float32]
"""(N, 4) left, top, right, bottom, pixels."""


@torch.inference_mode()
def regions_of(model: nn.Module, images: Pixels, normalization: Normalization) -> Regions | None:
    """Return where torch looks again on (N, S, S, 3) ``uint8`` pictures; None if it looks once."""
    network = as_wrapper(model)
    if REGION not in network.extra_outputs:
        return None
    place = 1 + network.extra_outputs.index(REGION)
    device = next(model.parameters()).device
    batches = normalized_batches(images, normalization, device)
    found: Regions = torch.cat([network.outputs(batch)[place].cpu() for batch in batches]).numpy()
    return found


def explanation_of(trained: TrainedModel) -> ExplanationSpec | None:
    """Return what the graph of a model tells beside probabilities; None if that is nothing."""
    if trained.network.glsim is None:
        return None
    model: Any = trained.build(meta=True)
    return ExplanationSpec(
        region=REGION, similarity=SIMILARITY, grid=model.grid, top_o=trained.network.glsim.top_o
    )


def compare_regions(reference: Regions, found: Regions) -> RegionsReport:
    """Compare the boxes of a bundle with torch's."""
    return RegionsReport(
        images=len(found),
        identical=float(100 * (np.abs(reference - found) < 0.5).all(axis=1).mean()),
        mean_iou=float(_iou(reference, found).mean()),
    )


def _iou(a: Regions, b: Regions) -> npt.NDArray[np.float32]:
    """Return the intersection over union of boxes, (N,)."""
    shared = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    inter = np.maximum(shared, 0).prod(axis=1)
    areas = sum((box[:, 2:] - box[:, :2]).prod(axis=1) for box in (a, b))
    ratio: npt.NDArray[np.float32] = inter / (areas - inter)
    return ratio
