"""Where GLSim looks again: similarity, box and crop (arXiv 2407.12891; docs/science/glsim.md).

Fixed shapes and plain arithmetic throughout, in float32, so that what is trained is what a device
runs: the boxes of a batch are numbers in a tensor, and cutting is sampling.
"""

from __future__ import annotations

from math import isqrt
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_fgir.models.glsim.options import SimMetric

CropForm = Literal["grid_sample", "matmul"]

_EPSILON = 1e-8


def similarity(summary: Tensor, patches: Tensor, metric: SimMetric = "cos") -> Tensor:
    """Return how similar a summary (B, D) is to each of n patches (B, n, D), (B, n).

    Of ``l1`` and ``l2`` it is the difference with a minus, so that more is always more similar.
    Products and sums by element: mixed precision would halve a matrix product.
    """
    summary, patches = summary.float()[:, None], patches.float()
    if metric != "cos":
        apart = (summary - patches).abs()
        distance: Tensor = (apart if metric == "l1" else apart**2).mean(dim=2)
        return -distance
    norms = summary.norm(dim=2).clamp(min=_EPSILON) * patches.norm(dim=2).clamp(min=_EPSILON)
    cosine: Tensor = (summary * patches).sum(dim=2) / norms
    return cosine


def boxes_of(similar: Tensor, grid: int, side: int, top_o: int, *, closed: bool) -> Tensor:
    """Return the box around the most similar patches.

    The published rule leaves out the last chosen row and column of patches, unless it is also the
    first: an end is where the last patch starts.

    Args:
        similar: (B, grid * grid), row-major.
        grid: Patches along a side.
        side: Of the input, pixels.
        top_o: How many patches are chosen.
        closed: Take the last row and column in.

    Returns:
        (B, 4) ``float32`` left, top, right, bottom, pixels; the last two are exclusive.
    """
    index = similar.topk(top_o, dim=1).indices.float()
    rows = (index / grid).floor()
    columns = index - grid * rows
    patch = side / grid
    edges = []
    for place in (columns, rows):
        first, last = place.amin(dim=1), place.amax(dim=1)
        end = last + 1 if closed else torch.maximum(last, first + 1)
        edges.append((patch * first, patch * end))
    (left, right), (top, bottom) = edges
    return torch.stack((left, top, right, bottom), dim=1)


def crop(images: Tensor, boxes: Tensor, form: CropForm) -> Tensor:
    """Cut each box out and stretch it to the image's size, bilinear with corners aligned.

    Args:
        images: (B, 3, S, S).
        boxes: (B, 4) as :func:`boxes_of` returns them.
        form: ``grid_sample``, or ``matmul``: two matrix products, for runtimes without it.

    Returns:
        (B, 3, S, S).
    """
    side = images.shape[-1]
    left, top, right, bottom = boxes.unbind(1)
    x, y = _positions(left, right, side), _positions(top, bottom, side)
    if form == "matmul":
        return _weights(y) @ images @ _weights(x).transpose(2, 3)
    x, y = (2 * places / (side - 1) - 1 for places in (x, y))
    # A sum of a row and a column: putting two large planes side by side takes longer than sampling.
    across = torch.stack((x, torch.zeros_like(x)), dim=2)[:, None]
    down = torch.stack((torch.zeros_like(y), y), dim=2)[:, :, None]
    return F.grid_sample(images, across + down, padding_mode="border", align_corners=True)


def _positions(start: Tensor, end: Tensor, side: int) -> Tensor:
    """Return ``side`` positions from pixel ``start`` to ``end - 1``, (B, side)."""
    steps = torch.arange(side, device=start.device, dtype=start.dtype) / (side - 1)
    return start[:, None] + steps * (end - 1 - start)[:, None]


def _weights(positions: Tensor) -> Tensor:
    """Return what each pixel gives to each position, (B, 1, positions, pixels)."""
    pixels = torch.arange(positions.shape[1], device=positions.device, dtype=positions.dtype)
    return F.relu(1 - (positions[:, :, None] - pixels).abs())[:, None]


class Selected(NamedTuple):
    """What is looked at again.

    Attributes:
        crop: (B, 3, S, S).
        region: (B, 4) its box: left, top, right, bottom, input pixels; the last two are exclusive.
        similarity: (B, g, g) of each patch to the whole, as :func:`similarity` has it.
    """

    crop: Tensor
    region: Tensor
    similarity: Tensor


class Selection(nn.Module):
    """Chooses the crop. It has no weights; as a module it is found again in an exported graph.

    Args:
        top_o: How many patches are chosen.
        closed_box: See :func:`boxes_of`.
        sim_metric: See :func:`similarity`.
    """

    def __init__(self, top_o: int, closed_box: bool, sim_metric: SimMetric = "cos") -> None:
        super().__init__()
        self.top_o, self.closed_box, self.sim_metric = top_o, closed_box, sim_metric
        self.form: CropForm = "grid_sample"

    def forward(self, images: Tensor, summary: Tensor, patches: Tensor) -> Selected:
        """Return what to look at again; nothing of it has a gradient.

        Args:
            images: (B, 3, S, S) normalised pixels.
            summary: (B, D) of the whole image.
            patches: (B, g * g, D), row-major.
        """
        grid = isqrt(int(patches.shape[1]))  # a tensor where a graph is traced
        similar = similarity(summary.detach(), patches.detach(), self.sim_metric)
        region = boxes_of(similar, grid, images.shape[-1], self.top_o, closed=self.closed_box)
        again = crop(images.detach().float(), region, self.form)
        return Selected(again, region, similar.unflatten(1, (grid, grid)))
