"""The test vectors of docs/preprocessing.md: pictures by formula, and what becomes of them.

    python tests/preprocessing_vectors.py

prints them as ``tests/golden/preprocessing.json`` holds them; it needs the base install alone.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from edge_fgir.runtime import Pixels, Preprocess

FILE = Path(__file__).parent / "golden" / "preprocessing.json"
BLOCKS = {"kernel": "bilinear", "antialias": True, "shrink": "blocks"}
POINTS = {"kernel": "bilinear", "antialias": False}
CASES: tuple[tuple[int, int, dict[str, Any]], ...] = (
    (720, 1280, {"size": 224, **BLOCKS}),
    (720, 1280, {"size": 128, **BLOCKS, "crop_fraction": 0.875}),
    (1080, 1920, {"size": 128, **BLOCKS, "kernel": "bicubic"}),
    (1600, 2000, {"size": 40, **BLOCKS}),
    (721, 1279, {"size": 224, **BLOCKS, "kernel": "bicubic", "crop_fraction": 0.875}),
    (333, 517, {"size": 96, **BLOCKS}),
    (517, 333, {"size": 33, **BLOCKS, "crop_fraction": 0.7}),
    (45, 1000, {"size": 16, **BLOCKS, "kernel": "bicubic"}),
    (480, 640, {"size": 224, **BLOCKS}),
    (97, 61, {"size": 80, **BLOCKS, "kernel": "bicubic", "crop_fraction": 0.875}),
    (9, 8, {"size": 64, **BLOCKS}),
    (1, 1, {"size": 16, **BLOCKS}),
    (64, 64, {"size": 64, **BLOCKS}),
    (73, 73, {"size": 64, **BLOCKS, "crop_fraction": 0.875}),
    (333, 517, {"size": 96, **POINTS}),
    (40, 31, {"size": 64, **POINTS, "crop_fraction": 0.875}),
    (
        333,
        517,
        {"size": 64, **BLOCKS, "kernel": "bicubic", "crop_fraction": 0.875, "view_size": 160},
    ),
    (480, 640, {"size": 128, **BLOCKS, "view_size": 448}),
    (97, 61, {"size": 33, **BLOCKS, "kernel": "bicubic", "view_size": 20}),
)


def picture(height: int, width: int) -> Pixels:
    """Return the picture of the vectors: smooth and rough in places, three unlike channels."""
    y, x, c = np.ogrid[:height, :width, :3]
    smooth = (3 * x * x + 5 * y * y + 7 * x * y + 9000 * c) >> 12
    rough = (13 * x + 29 * y + 71 * c) & (x ^ y)
    return ((smooth + rough) & 255).astype(np.uint8)


def vector(height: int, width: int, settings: dict[str, Any], made: Pixels) -> dict[str, Any]:
    """Return a vector: what goes in, and the answer's hash, sum and first pixels."""
    return {
        "height": height,
        "width": width,
        "preprocess": settings,
        "sha256": hashlib.sha256(made.tobytes()).hexdigest(),
        "sum": int(made.sum()),
        "first": made[0, :4].tolist(),
    }


def vectors() -> list[dict[str, Any]]:
    """Return all vectors as :class:`Preprocess` makes them here."""
    return [
        vector(height, width, settings, Preprocess(**settings).apply(picture(height, width)))
        for height, width, settings in CASES
    ]


if __name__ == "__main__":
    lines = ",\n".join(f"  {json.dumps(one)}" for one in vectors())
    print(f"[\n{lines}\n]")  # noqa: T201
