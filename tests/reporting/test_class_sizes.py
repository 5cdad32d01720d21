from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from longtailed import ZIPF
from PIL import Image

from edge_fgir.evaluation import Shots
from edge_fgir.reporting.class_sizes import save_class_sizes

pytestmark = pytest.mark.unit

COLORS = {"many": "#1f6f93", "medium": "#67b0b5", "few": "#d9a04e"}


def drawn(path: Path, counts: tuple[int, ...]) -> ElementTree.Element:
    save_class_sizes(path, "a < b & c", Shots(counts))
    return ElementTree.parse(path).getroot()


def boxes(svg: ElementTree.Element, color: str) -> list[tuple[float, float]]:
    """Left and height of the bars of a colour, without the legend's."""
    found = [one for one in svg.iter() if one.get("fill") == color and one.tag.endswith("rect")]
    return [(float(one.get("x", 0)), float(one.get("height", 0))) for one in found[1:]]


def test_each_class_is_a_bar_in_its_groups_colour(tmp_path):
    svg = drawn(tmp_path / "a.svg", ZIPF)
    groups = Counter(Shots(ZIPF).groups)
    assert {group: len(boxes(svg, color)) for group, color in COLORS.items()} == {
        group: groups[group] for group in COLORS
    }
    bars = sorted(bar for color in COLORS.values() for bar in boxes(svg, color))
    heights = [height for _, height in bars]
    assert heights == sorted(heights, reverse=True)
    ratio = math.log10(max(ZIPF)) / math.log10(min(ZIPF))
    assert heights[0] / heights[-1] == pytest.approx(ratio, rel=0.01)


def test_texts_are_escaped_and_say_the_groups(tmp_path):
    texts = [one.text for one in drawn(tmp_path / "a.svg", (200, 50, 10)).iter() if one.text]
    assert texts[:4] == [
        "a < b & c: training pictures of 3 classes",
        "many (> 100): 1",
        "medium (20 to 100): 1",
        "few (< 20): 1",
    ]


def test_thousands_of_classes_stay_inside(tmp_path):
    svg = drawn(tmp_path / "a.svg", tuple(range(1, 5000)))
    bars = [bar for color in COLORS.values() for bar in boxes(svg, color)]
    assert 700 < len(bars) < 1500
    assert all(58 <= left <= 742 and 0 < height <= 280 for left, height in bars)


def test_a_class_of_one_picture_is_seen_and_an_empty_one_is_not(tmp_path):
    assert len(boxes(drawn(tmp_path / "a.svg", (10, 1, 0)), COLORS["few"])) == 2


def test_a_png_shows_the_same(tmp_path):
    save_class_sizes(tmp_path / "a.png", "zipf", Shots(ZIPF))
    with Image.open(tmp_path / "a.png") as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    for color in COLORS.values():
        rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        assert (pixels == rgb).all(axis=1).sum() > 200
