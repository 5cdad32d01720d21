"""Views of prepared pictures: more that a network may see, without a label's cost."""

from __future__ import annotations

import numpy as np
from PIL import Image

from edge_fgir.runtime import Pixels

_LEAST_SIDE = 0.8
_BRIGHTNESS = 0.12


def view_of(images: Pixels, number: int) -> Pixels:
    """Return a view of each picture: mirrored or not, closer by up to a fifth, lighter or darker.

    Args:
        images: (N, S, S, 3).
        number: Of the view, from 0: each is another one, and always the same.
    """
    rng = np.random.default_rng(number)
    return np.stack([_view(image, rng) for image in images])


def _view(image: Pixels, rng: np.random.Generator) -> Pixels:
    side = len(image)
    width = side * rng.uniform(_LEAST_SIDE, 1)
    left, top = rng.uniform(0, side - width, 2)
    picture = Image.fromarray(image[:, ::-1] if rng.random() < 0.5 else image)
    box = (left, top, left + width, top + width)
    closer = picture.resize((side, side), Image.Resampling.BICUBIC, box=box)
    light = rng.uniform(1 - _BRIGHTNESS, 1 + _BRIGHTNESS)
    lit: Pixels = np.clip(np.asarray(closer, np.float32) * light, 0, 255).astype(np.uint8)
    return lit
