from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from longtailed import ZIPF

from edge_fgir.data.statistics import ClassSizes, gini
from edge_fgir.evaluation import Shots

pytestmark = pytest.mark.unit

COUNTS = st.lists(st.integers(0, 10_000), min_size=2, max_size=60).filter(any)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([7, 7, 7, 7], 0.0),
        ([0, 0, 0, 12], 0.75),
        (list(range(1, 101)), 99 / 300),
        ([1, 3], 0.25),
    ],
)
def test_gini_of_known_lists(counts, expected) -> None:
    assert gini(counts) == pytest.approx(expected)


@given(COUNTS, st.integers(2, 9))
def test_gini_is_the_mean_difference_and_knows_no_scale_nor_order(counts, factor) -> None:
    values = np.array(counts, float)
    difference = np.abs(values[:, None] - values).mean()
    assert gini(counts) == pytest.approx(difference / (2 * values.mean()), abs=1e-12)
    assert gini([factor * count for count in counts][::-1]) == pytest.approx(gini(counts))


def test_sizes_of_a_known_list() -> None:
    counts = [1000, *[50] * 8, 20]
    found = ClassSizes.of(counts)
    assert (found.classes, found.images, found.empty) == (10, 1420, 0)
    assert (found.smallest, found.largest, found.imbalance) == (20, 1000, 50)
    assert found.mean == 142
    assert found.deviation == pytest.approx(np.std(counts))
    assert found.quantiles["50 %"] == 50
    assert found.shares == pytest.approx({"top 20 %": 1050 / 1420})


def test_sizes_of_a_set_as_uneven_as_the_real_one() -> None:
    """533 to 1, and 650 classes of many: the published figures, on counts made to have them."""
    counts = (7477, *[120] * 649, *[48] * 2000, *[14] * 613)
    found = ClassSizes.of(counts)
    assert round(found.imbalance) == 534
    assert Shots(counts).groups.count("many") == 650
    assert found.shares["top 10"] == pytest.approx((7477 + 9 * 120) / sum(counts))
    assert set(found.shares) == {"top 10", "top 100", "top 20 %"}


def test_empty_classes_are_counted_and_not_the_smallest() -> None:
    found = ClassSizes.of([0, 5, 10])
    assert (found.empty, found.smallest, found.imbalance) == (1, 5, 2)


@given(COUNTS)
def test_sizes_hold_together(counts) -> None:
    found = ClassSizes.of(counts)
    assert found.mean * found.classes == pytest.approx(found.images)
    assert 0 <= found.gini < 1
    assert found.imbalance >= 1
    assert all(0 <= share <= 1 for share in found.shares.values())


def test_the_zipf_set_is_long_tailed() -> None:
    found = ClassSizes.of(ZIPF)
    assert found.gini > 0.5
    assert found.imbalance > 30
