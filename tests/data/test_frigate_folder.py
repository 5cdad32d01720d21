"""A folder that Frigate's custom classification has filled."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_fgir import InputError
from edge_fgir.data import open_data

pytestmark = pytest.mark.unit

CLASSES = ("great_tit", "none", "robin")
ENDINGS = ("webp", "png", "jpg")
VISITS = 8


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Three frames of each visit, as crops of 20 to 300 pixels."""
    random = np.random.default_rng(0)
    root = tmp_path / "dataset"
    for name in CLASSES:
        (root / name).mkdir(parents=True)
        for visit in range(VISITS):
            areas = Image.fromarray(random.integers(0, 256, (5, 5, 3), np.uint8))
            width, height = random.integers(20, 300, 2).tolist()
            crop = np.asarray(areas.resize((width, height), Image.Resampling.BICUBIC))
            for frame, ending in enumerate(ENDINGS):
                pixels = np.clip(crop + random.normal(0, 4, crop.shape), 0, 255)
                file = root / name / f"{visit}.5-ab{visit}-{frame}.7-{name}-0.9.{ending}"
                Image.fromarray(pixels.astype(np.uint8)).save(file)
    return root


def test_frames_of_one_visit_are_on_one_side(clips: Path) -> None:
    data = open_data(str(clips))
    assert data.classes == CLASSES
    sides: dict[tuple[int, str], set[str]] = defaultdict(set)
    for split in ("train", "val", "test"):
        samples = data.split(split)
        assert {one.label for one in samples} == {0, 1, 2}
        for one in samples:
            sides[one.label, one.path.name.split("-")[1]].add(split)
    assert len(sides) == len(CLASSES) * VISITS
    assert all(len(found) == 1 for found in sides.values())


def test_one_class_is_too_few(clips: Path) -> None:
    for name in ("none", "robin"):
        (clips / name).rename(clips.parent / name)
    with pytest.raises(InputError, match="1 class folders; expected at least 2"):
        open_data(str(clips))
