"""From an attention map to a box and its crop (arXiv 2507.12157).

See docs/science/tgda.md#crop-and-drop.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CROP_PADDING = 0.1
"""The crop box grows by this share of the image on each side."""


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
