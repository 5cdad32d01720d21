"""A picture of what the teacher makes of the training images."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from edge_fgir._files import write_atomic
from edge_fgir.runtime import Normalization

_GAP = 4


def save_views(path: Path, images: Tensor, augmented: Tensor, normalization: Normalization) -> None:
    """Write a sheet: one column an image, one row each for raw and every view.

    Args:
        path: PNG to write.
        images: (B, 3, S, S) normalised.
        augmented: (n * B, 3, S, S), view by view.
        normalization: Undone for display.
    """
    mean = np.asarray(normalization.mean)
    std = np.asarray(normalization.std)
    rows = [images, *augmented.split(len(images))]
    count, side = len(images), images.shape[-1]
    height = len(rows) * (side + _GAP) - _GAP
    sheet = np.full((height, count * (side + _GAP) - _GAP, 3), 255, np.uint8)
    for r, row in enumerate(rows):
        for c, image in enumerate(row.permute(0, 2, 3, 1).cpu().numpy()):
            pixels = np.clip((image * std + mean) * 255 + 0.5, 0, 255).astype(np.uint8)
            top, left = r * (side + _GAP), c * (side + _GAP)
            sheet[top : top + side, left : left + side] = pixels
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "PNG")
    write_atomic(path, buffer.getvalue())
