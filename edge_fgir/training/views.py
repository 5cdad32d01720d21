"""Crop, drop and mix views from attention maps.

Source: arXiv 2507.12157, docs/science/tgda.md#crop-and-drop.

What a view shows is settled by one attention map and one threshold an image (:class:`ViewSpec`).
Making it from the image is another step, so it can be kept and made into pixels again later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from edge_fgir.models import crop_and_resize, crop_boxes, hot_region
from edge_fgir.runs import View

CROP_THETA = (0.4, 0.6)
"""Range of the crop threshold as a share of the map's peak."""
DROP_THETA = (0.2, 0.5)
"""Range of the drop threshold as a share of the map's peak."""
MIX_THETA = (0.6, 0.8)
"""Range of the mix threshold as a share of the map's peak."""


class ViewSpec(NamedTuple):
    """What each image's views show.

    Attributes:
        maps: (B, V, h, w), the attention map behind each view.
        theta: (B, V), its threshold as a share of the map's peak.
    """

    maps: Tensor
    theta: Tensor

    def compact(self) -> ViewSpec:
        """Round to what a cache stores: maps of peak one in ``float16``, ``float32`` thresholds.

        A region depends only on the map's shape, not on its height.
        """
        peak = self.maps.amax(dim=(2, 3), keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
        return ViewSpec((self.maps.float() / peak).half(), self.theta.float())


def sample_view_spec(
    attention: Tensor, views: Sequence[View], *, first_maps: int = 0, mean: bool = False
) -> ViewSpec:
    """Choose a map and a threshold for every view.

    Args:
        attention: (B, M, h, w) of the teacher.
        views: Which views, in order.
        first_maps: Draw among so many maps only; 0: among all.
        mean: Take the mean of the maps instead of drawing (a teacher in evaluation mode).
    """
    among = attention[:, :first_maps] if first_maps else attention
    maps = mean_maps(attention, len(views)) if mean else sample_maps(among, len(views))
    theta = [sample_theta(len(attention), _THETA[view], attention.device) for view in views]
    return ViewSpec(maps, torch.stack(theta, dim=1))


def make_views(images: Tensor, spec: ViewSpec, views: Sequence[View]) -> Tensor:
    """Make the views: (B, 3, H, W) to (V * B, 3, H, W), view by view."""
    made = []
    for number, view in enumerate(views):
        make = _MAKERS[view]
        made.append(make(images, spec.maps[:, number].float(), spec.theta[:, number]))
    return torch.cat(made)


def map_probabilities(attention: Tensor) -> Tensor:
    """Return the chance of each map to be drawn, (B, M): sqrt of its mass, L1-normalised."""
    weights = (attention.sum(dim=(2, 3)) + 1e-6).sqrt()
    return weights / weights.sum(dim=1, keepdim=True)


def sample_maps(attention: Tensor, count: int) -> Tensor:
    """Draw ``count`` maps per image with replacement: (B, M, h, w) to (B, count, h, w)."""
    chosen = torch.multinomial(map_probabilities(attention), count, replacement=True)
    return attention[torch.arange(len(attention), device=attention.device)[:, None], chosen]


def mean_maps(attention: Tensor, count: int) -> Tensor:
    """Return the mean map ``count`` times: (B, M, h, w) to (B, count, h, w)."""
    return attention.mean(dim=1, keepdim=True).expand(-1, count, -1, -1)


def sample_theta(batch: int, bounds: tuple[float, float], device: torch.device) -> Tensor:
    """Draw one threshold share per image, uniform in ``bounds``: (B,)."""
    low, high = bounds
    return low + (high - low) * torch.rand(batch, device=device)


def crop_view(images: Tensor, maps: Tensor, theta: Tensor) -> Tensor:
    """Zoom in on what the map looks at: (B, 3, H, W). An all-zero map gives the whole image."""
    hot = hot_region(maps, theta, (images.shape[2], images.shape[3]))
    return crop_and_resize(images, crop_boxes(hot))


def drop_view(images: Tensor, maps: Tensor, theta: Tensor) -> Tensor:
    """Blank what the map looks at: (B, 3, H, W), zero (the mean colour) where dropped.

    An all-zero map would blank everything; such an image is left as it is (our deviation).
    """
    hot = hot_region(maps, theta, (images.shape[2], images.shape[3]))
    empty = maps.amax(dim=(1, 2)) <= 0
    keep = ~hot | empty[:, None, None]
    return images * keep[:, None]


def mix_view(images: Tensor, maps: Tensor, theta: Tensor) -> Tensor:
    """Put into each image's box what its partner's box shows: (B, 3, H, W).

    Partners are the first and second, the third and fourth image, and so on; the last of an odd
    number is left as it is.
    """
    height, width = images.shape[2:]
    boxes = crop_boxes(hot_region(maps, theta, (height, width)), padding=0.0)
    partner = torch.arange(len(images), device=images.device) ^ 1
    partner[partner >= len(images)] = len(images) - 1
    rows, in_rows = _from_box(boxes[:, 0::2], boxes[partner, 0::2], height)
    columns, in_columns = _from_box(boxes[:, 1::2], boxes[partner, 1::2], width)
    grid = torch.stack(
        (columns[:, None, :].expand(-1, height, -1), rows[:, :, None].expand(-1, -1, width)), dim=3
    )
    content = F.grid_sample(
        images[partner], grid.to(images.dtype), mode="bilinear", align_corners=True
    )
    inside = in_rows[:, :, None] & in_columns[:, None, :]
    return torch.where(inside[:, None], content, images)


def _from_box(own: Tensor, other: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Map positions in ``own`` spans (B, 2) linearly to ``other`` spans, ends to ends.

    Returns:
        (B, length) sampling positions in [-1, 1], and (B, length) whether a position is in ``own``.
    """
    places = torch.arange(length, device=own.device)[None]
    start, end = own[:, :1], own[:, 1:]
    share = (places - start) / (end - 1 - start).clamp(min=1)
    target = other[:, :1] + share * (other[:, 1:] - 1 - other[:, :1])
    return 2 * target / max(length - 1, 1) - 1, (places >= start) & (places < end)


_THETA: dict[View, tuple[float, float]] = {
    "crop": CROP_THETA,
    "drop": DROP_THETA,
    "mix": MIX_THETA,
}
_MAKERS = {"crop": crop_view, "drop": drop_view, "mix": mix_view}
