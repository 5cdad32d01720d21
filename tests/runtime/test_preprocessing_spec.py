"""docs/preprocessing.md, written a second time from its words, number by number and slowly."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from preprocessing_vectors import CASES, FILE, picture, vector

from edge_fgir.runtime import Pixels, Preprocess

pytestmark = pytest.mark.unit

VECTORS = json.loads(FILE.read_text())
Floats = npt.NDArray[np.float64]


def bilinear(x: float) -> float:
    return max(0.0, 1 - abs(x))


def bicubic(x: float) -> float:
    x = abs(x)
    if x < 1:
        return ((-0.5 + 2) * x - (-0.5 + 3)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * -0.5 if x < 2 else 0.0


KERNELS = {"bilinear": (bilinear, 1.0), "bicubic": (bicubic, 2.0)}


def blocks(pixels: Pixels, side: int) -> tuple[Pixels, int, int]:
    height, width, _ = pixels.shape
    down, across = (
        min(16, 8 * length // (11 * side), length // (2 * side) + 1) for length in (height, width)
    )
    if down < 2 or across < 2:
        return pixels, 1, 1
    rows, columns = -(-height // down), -(-width // across)
    total = np.zeros((rows, columns, 3), int)
    for y in range(down):
        for x in range(across):
            lines = np.minimum(np.arange(rows) * down + y, height - 1)
            places = np.minimum(np.arange(columns) * across + x, width - 1)
            total += pixels[lines][:, places]
    return ((total + down * across // 2) // (down * across)).astype(np.uint8), down, across


def along(pixels: Pixels, low: float, high: float, size: int, kernel: str) -> Pixels:
    """Resize the first axis."""
    function, support = KERNELS[kernel]
    first, last = np.float32(low), np.float32(high)
    scale = float(last - first) / size
    wide = max(scale, 1.0)
    made = np.empty((size, *pixels.shape[1:]), np.uint8)
    for i in range(size):
        centre = float(first) + (i + 0.5) * scale
        start = max(int(centre - support * wide + 0.5), 0)
        end = min(int(centre + support * wide + 0.5), len(pixels))
        weights = [function((j - centre + 0.5) * (1 / wide)) for j in range(start, end)]
        total = 0.0
        for weight in weights:
            total += weight
        whole = [int(w / total * 2**22 + (0.5 if w >= 0 else -0.5)) for w in weights]
        summed = np.tensordot(whole, pixels[start:end].astype(int), 1) + 2**21
        made[i] = np.clip(summed >> 22, 0, 255)
    return made


def shrunk(pixels: Pixels, spec: dict[str, Any], side: int, size: int, start: int) -> Pixels:
    height, width, _ = pixels.shape
    pixels, down, across = blocks(pixels, side)
    left, right = (x * width / (side * across) for x in (start, start + size))
    top, bottom = (y * height / (side * down) for y in (start, start + size))
    flat = along(pixels.transpose(1, 0, 2), left, right, size, spec["kernel"]).transpose(1, 0, 2)
    return along(flat, top, bottom, size, spec["kernel"])


def sampled(pixels: Pixels, side: int) -> Pixels:
    height, width, _ = pixels.shape
    near: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]] = []
    for length in (height, width):
        place = (np.arange(side) + 0.5) * (length / side) + 2.0 - 0.5
        low = np.floor(place).astype(int)
        share = place - low
        near.append((np.clip(low - 2, 0, length - 1), np.clip(low - 1, 0, length - 1), share))
    (y0, y1, dy), (x0, x1, dx) = near
    dy, dx = dy[:, None, None], dx[:, None]
    upper, lower = (
        pixels[y][:, x0] + (pixels[y][:, x1].astype(float) - pixels[y][:, x0]) * dx
        for y in (y0, y1)
    )
    return (upper + (lower - upper) * dy).astype(np.uint8)


def cubic(x: float) -> float:
    if x < 1:
        return (1.25 * x - 2.25) * x * x + 1
    return ((-0.75 * x + 3.75) * x - 6) * x + 3


def points(v: int, n: int) -> npt.NDArray[np.int64]:
    """How much of each of ``v`` pixels is in each of ``n`` points, in 2048ths: (n, v)."""
    parts = np.zeros((n, v), np.int64)
    for i in range(n):
        twice = (2 * i + 1) * v - n
        first = twice // (2 * n)
        share = (twice - first * 2 * n) / (2 * n)
        q = {j: math.floor(cubic(abs(share - j)) * 2**11 + 0.5) for j in (-1, 0, 1, 2)}
        q[0] += 2**11 - sum(q.values())
        for j, weight in q.items():
            parts[i, min(max(first + j, 0), v - 1)] += weight
    return parts


def by_the_page(pixels: Pixels, spec: dict[str, Any]) -> Pixels:
    size = spec["size"]
    if "view_size" in spec:
        first = {key: value for key, value in spec.items() if key != "view_size"}
        view = by_the_page(pixels, {**first, "size": spec["view_size"]}).astype(np.int64)
        parts = points(spec["view_size"], size)
        summed = np.einsum("iy,jx,yxc->ijc", parts, parts, view, optimize=True)
        return np.clip((summed + 2**21) // 2**22, 0, 255).astype(np.uint8)
    side = round(size / spec.get("crop_fraction", 1.0))
    start = (side - size) // 2
    whole = slice(start, start + size)
    if pixels.shape[:2] == (side, side):
        return pixels[whole, whole]
    if not spec["antialias"]:
        return sampled(pixels, side)[whole, whole]
    return shrunk(pixels, spec, side, size, start)


def test_the_vectors_are_of_these_cases() -> None:
    found = [(one["height"], one["width"], one["preprocess"]) for one in VECTORS]
    assert found == list(CASES)


@pytest.mark.parametrize("wanted", VECTORS, ids=lambda v: f"{v['width']}x{v['height']}")
def test_a_vector_is_met_by_the_package_and_by_the_page(wanted: dict[str, Any]) -> None:
    height, width, spec = wanted["height"], wanted["width"], wanted["preprocess"]
    pixels = picture(height, width)
    assert vector(height, width, spec, Preprocess(**spec).apply(pixels)) == wanted
    assert vector(height, width, spec, by_the_page(pixels, spec)) == wanted


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    size=st.integers(16, 48),
    kernel=st.sampled_from(sorted(KERNELS)),
    fraction=st.sampled_from([1.0, 0.875, 0.7, 0.33]),
)
def test_every_picture_is_made_as_the_page_says(
    height: int, width: int, size: int, kernel: str, fraction: float
) -> None:
    spec: dict[str, Any] = {"size": size, "kernel": kernel, "crop_fraction": fraction}
    spec |= {"antialias": True, "shrink": "blocks"}
    pixels = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)
    assert np.array_equal(Preprocess(**spec).apply(pixels), by_the_page(pixels, spec))
    spec["view_size"] = 32
    assert np.array_equal(Preprocess(**spec).apply(pixels), by_the_page(pixels, spec))
