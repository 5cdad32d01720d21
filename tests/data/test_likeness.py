from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge_fgir.data.likeness import BYTES, alike
from edge_fgir.runtime import look_hash

pytestmark = pytest.mark.unit


def photo(seed: int, width: int = 160, height: int = 120) -> np.ndarray:
    """Smooth random pixels, as photographs are."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (9, 12, 3), np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def bits_apart(first: np.ndarray, second: np.ndarray) -> int:
    return int(np.unpackbits(look_hash(first) ^ look_hash(second)).sum())


def compressed(pixels: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("seed", range(8))
def test_the_same_picture_in_other_clothes(seed) -> None:
    pixels = photo(seed)
    smaller = np.asarray(Image.fromarray(pixels).resize((70, 52), Image.Resampling.BILINEAR))
    grey = np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))
    darker = (0.8 * pixels).astype(np.uint8)
    for other in (pixels, compressed(pixels, 60), smaller, grey, darker):
        assert bits_apart(pixels, other) <= 8


def test_other_pictures_are_far_away() -> None:
    hashes = np.stack([look_hash(photo(seed)) for seed in range(60)])
    assert hashes.shape == (60, BYTES)
    assert alike(hashes, np.arange(60), 15) == []


def test_a_mirrored_picture_is_another() -> None:
    assert bits_apart(photo(0), photo(0)[:, ::-1]) > 15


NEAR = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 3), st.sets(st.integers(0, 127), max_size=12)),
    min_size=1,
    max_size=25,
)


@given(NEAR, st.integers(0, 15))
def test_all_near_pairs_are_found_and_no_others(rows, distance) -> None:
    """A few patterns with some bits turned, compared with a search of all pairs."""
    patterns = np.random.default_rng(0).integers(0, 2, (4, 128), np.uint8)
    bits = np.stack([patterns[pattern] for _, pattern, _ in rows])
    for row, (_, _, turned) in zip(bits, rows, strict=True):
        row[list(turned)] ^= 1
    groups = np.array([group for group, _, _ in rows])
    wanted = {
        (bits[low].tobytes(), int(groups[low]), high)
        for low in range(len(rows))
        for high in range(len(rows))
        if groups[low] < groups[high] and (bits[low] != bits[high]).sum() <= distance
    }
    found = alike(np.packbits(bits, axis=1), groups, distance)
    # Of equal ones in a group the first stands for all.
    assert {(bits[low].tobytes(), int(groups[low]), high) for low, high in found} == wanted
    assert found == sorted(set(found))
    for low, _ in found:
        equal = (bits == bits[low]).all(axis=1) & (groups == groups[low])
        assert np.flatnonzero(equal)[0] == low


def test_many_equal_pictures_are_not_many_more_pairs() -> None:
    hashes = np.zeros((6000, BYTES), np.uint8)
    groups = np.repeat([0, 2], 3000)
    assert alike(hashes, groups, 4) == [(0, place) for place in range(3000, 6000)]
