"""A folder that Frigate's custom classification has filled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
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


def visits_on_one_side(root: Path, name: Callable[[int, int, int], str]) -> bool:
    """Split pictures that look alike in nothing, and say whether frames of a visit are together.

    Args:
        root: A new folder.
        name: Of a file, by its class, visit and frame.
    """
    random = np.random.default_rng(0)
    visit_of = {}
    for label, folder in enumerate(CLASSES):
        (root / folder).mkdir(parents=True)
        for visit in range(VISITS):
            for frame in range(len(ENDINGS)):
                file = root / folder / name(label, visit, frame)
                Image.fromarray(random.integers(0, 256, (24, 24, 3), np.uint8)).save(file)
                visit_of[folder, file.name] = (label, visit)
    data = open_data(str(root))
    sides: dict[tuple[int, int], set[str]] = defaultdict(set)
    for split in ("train", "val", "test"):
        samples = data.split(split)
        assert {one.label for one in samples} == {0, 1, 2}
        for one in samples:
            sides[visit_of[one.path.parent.name, one.path.name]].add(split)
    return all(len(found) == 1 for found in sides.values())


def test_what_was_sorted_together_is_on_one_side(tmp_path: Path) -> None:
    def sorted_at(label: int, visit: int, frame: int) -> str:
        when = 1_780_000_000 + 5 * visit + 0.15 * frame
        return f"{CLASSES[label]}-{when:.6f}-a{visit}{frame}x9z.png"

    def renamed(label: int, visit: int, frame: int) -> str:
        return f"{CLASSES[label]}-{visit}-{frame}.png"

    assert visits_on_one_side(tmp_path / "dataset", sorted_at)
    assert not visits_on_one_side(tmp_path / "renamed", renamed)


def test_an_event_in_the_name_is_a_visit(tmp_path: Path) -> None:
    def waiting(label: int, visit: int, frame: int) -> str:
        event = f"{1_780_000_000 + visit}.5-ab12{visit}z"
        return f"{event}-{1_780_000_000 + 60 * frame + visit}.25-great_tit-0.{frame}.webp"

    assert visits_on_one_side(tmp_path / "dataset", waiting)


def test_where_all_was_sorted_at_once_likeness_alone_counts(tmp_path: Path) -> None:
    def at_once(label: int, visit: int, frame: int) -> str:
        when = 1_780_000_000 + 0.01 * (3 * visit + frame)
        return f"{CLASSES[label]}-{when:.6f}-a{visit}{frame}x9z.png"

    assert not visits_on_one_side(tmp_path / "dataset", at_once)
    notes = open_data(str(tmp_path / "dataset")).reading.notes
    assert any("too few visits of great_tit, none, robin" in note for note in notes)


def test_one_class_is_too_few(clips: Path) -> None:
    for name in ("none", "robin"):
        (clips / name).rename(clips.parent / name)
    with pytest.raises(InputError, match="1 class folders; expected at least 2"):
        open_data(str(clips))
