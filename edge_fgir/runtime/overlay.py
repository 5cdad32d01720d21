"""Pictures of what a model that looks twice (GLSim) rests on.

Source: arXiv 2407.12891, docs/science/glsim.md#drawing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from edge_fgir.runtime.preprocess import Pixels, Region

Map = npt.NDArray[np.float32]
"""(g, g) cosine of each patch and the whole picture, -1..1."""

_SIDE = 320
"""Height of an overlay, pixels."""
_GAP = 8
_LINE = 2
_BOX, _PATCH, _PAPER = "white", "black", "white"


def heat_map(similarity: Map, width: int, height: int, *, contrast: bool = False) -> Pixels:
    """Return a map as colours from blue, its least value, to red, (height, width, 3).

    Args:
        similarity: (g, g).
        width: Pixels.
        height: Pixels.
        contrast: Raise it to the 4th power; what is below 0 counts as 0, lest it shine.
    """
    values = np.nan_to_num(similarity)
    if contrast:
        values = np.maximum(values, 0) ** 4
    low, high = float(values.min()), float(values.max())
    grey = np.rint(255 * (values - low) / ((high - low) or 1)).astype(np.uint8)
    large = Image.fromarray(grey).resize((width, height), Image.Resampling.BILINEAR)
    level = np.asarray(large, np.float32)[..., None] / 255
    # The "jet" colours: three ramps whose plateaus lie at 3/4, 1/2 and 1/4.
    colors = np.clip(1.5 - np.abs(4 * level - np.array([3, 2, 1], np.float32)), 0, 1)
    return np.rint(255 * colors).astype(np.uint8)


def chosen(similarity: Map, top_o: int) -> npt.NDArray[np.bool_]:
    """Return which patches are among the ``top_o`` most similar, (g, g)."""
    order = np.sort(similarity, axis=None)
    marked: npt.NDArray[np.bool_] = similarity >= order[-min(top_o, order.size)]
    return marked


def overlay(
    photo: Pixels,
    region: Region,
    seen: Region,
    similarity: Map,
    top_o: int,
    *,
    contrast: bool = False,
) -> Image.Image:
    """Draw a photo with the region, its map with the chosen patches, and what was looked at again.

    Args:
        photo: (H, W, 3) RGB.
        region: What was looked at again, the photo's pixels.
        seen: What was looked at first: the photo, or its centre.
        similarity: (g, g) over ``seen``.
        top_o: How many patches were chosen.
        contrast: See :func:`heat_map`.
    """
    scale = _SIDE / photo.shape[0]
    width = max(round(photo.shape[1] * scale), 1)
    plain = Image.fromarray(photo).resize((width, _SIDE), Image.Resampling.BICUBIC)
    # Bounded by the photo: the numbers come from a model.
    region, seen = (_inside(box, width, _SIDE, scale) for box in (region, seen))
    again = plain.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, region)
    hot = plain.copy()
    left, top, right, bottom = map(round, seen)
    heat = heat_map(similarity, right - left, bottom - top, contrast=contrast)
    under = hot.crop((left, top, right, bottom))
    hot.paste(Image.blend(under, Image.fromarray(heat), 0.5), (left, top))
    _draw_patches(hot, seen, chosen(similarity, top_o))
    for panel in (plain, hot):
        ImageDraw.Draw(panel).rectangle(region, outline=_BOX, width=_LINE)
    sheet = Image.new("RGB", (2 * (width + _GAP) + _SIDE, _SIDE), _PAPER)
    for number, panel in enumerate((plain, hot, again)):
        sheet.paste(panel, (number * (width + _GAP), 0))
    return sheet


def _inside(box: Region, width: int, height: int, scale: float) -> Region:
    """Return a box, scaled, as one of at least a pixel inside ``width`` x ``height``."""
    left, top, right, bottom = np.nan_to_num(np.asarray(box) * scale).tolist()
    left, top = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
    return Region(left, top, min(max(right, left + 1), width), min(max(bottom, top + 1), height))


def _draw_patches(picture: Image.Image, seen: Region, marked: npt.NDArray[np.bool_]) -> None:
    grid = len(marked)
    across, down = (seen.right - seen.left) / grid, (seen.bottom - seen.top) / grid
    pen = ImageDraw.Draw(picture)
    for row, column in np.argwhere(marked):
        left, top = seen.left + column * across, seen.top + row * down
        pen.rectangle((left, top, left + across, top + down), outline=_PATCH)
