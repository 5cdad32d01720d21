"""Crop and drop views from attention maps (arXiv 2507.12157; spec TGDA sections 1.2-1.4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CROP_THETA = (0.4, 0.6)
"""Range of the crop threshold as a share of the map's peak."""
DROP_THETA = (0.2, 0.5)
"""Range of the drop threshold as a share of the map's peak."""
CROP_PADDING = 0.1
"""The crop box grows by this share of the image on each side."""


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


def hot_region(maps: Tensor, theta: Tensor, size: tuple[int, int]) -> Tensor:
    """Mark where a map reaches its threshold.

    Args:
        maps: (B, h, w) attention, one map per image.
        theta: (B,) share of each map's own (low-resolution) peak.
        size: (H, W) of the image.

    Returns:
        (B, H, W) bool.
    """
    threshold = theta * maps.amax(dim=(1, 2))
    upsampled = F.interpolate(maps[:, None], size, mode="bilinear", align_corners=True)[:, 0]
    return upsampled >= threshold[:, None, None]


def crop_boxes(hot: Tensor, padding: float = CROP_PADDING) -> Tensor:
    """Return the padded box around each hot region.

    Args:
        hot: (B, H, W) bool, at least one pixel of each set.
        padding: Share of the image added on each side.

    Returns:
        (B, 4) ``int64`` top, left, bottom, right; the last two are exclusive.
    """
    edges = []
    for axis, length in ((2, hot.shape[1]), (1, hot.shape[2])):
        line = hot.any(dim=axis).int()
        first = line.argmax(dim=1)
        last = length - 1 - line.flip(1).argmax(dim=1)
        # trunc() after the subtraction: the authors' int(), toward zero.
        start = (first - padding * length).trunc().clamp(min=0)
        end = (last + padding * length).trunc().clamp(max=length)
        edges.append((start, end))
    (top, bottom), (left, right) = edges
    return torch.stack((top, left, bottom, right), dim=1).long()


def crop_and_resize(images: Tensor, boxes: Tensor) -> Tensor:
    """Cut each box out and stretch it to the image size (bilinear, corners aligned).

    One grid-sample for the batch; equal to slicing and ``interpolate(align_corners=True)``.
    """
    height, width = images.shape[2:]
    top, left, bottom, right = boxes.to(images.dtype).unbind(1)
    rows = _positions(top, bottom, height)
    columns = _positions(left, right, width)
    grid = torch.stack(
        (columns[:, None, :].expand(-1, height, -1), rows[:, :, None].expand(-1, -1, width)), dim=3
    )
    return F.grid_sample(images, grid, mode="bilinear", align_corners=True)


def _positions(start: Tensor, end: Tensor, length: int) -> Tensor:
    """Return ``length`` sampling positions from pixel ``start`` to ``end - 1``, in [-1, 1]."""
    steps = torch.linspace(0, 1, length, device=start.device, dtype=start.dtype)
    pixels = start[:, None] + steps * (end - 1 - start)[:, None]
    return 2 * pixels / max(length - 1, 1) - 1


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
