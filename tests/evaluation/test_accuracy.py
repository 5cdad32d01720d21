from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_fgir.evaluation import (
    SingleLabel,
    confused_pairs,
    confusion,
    expected_calibration_error,
    macro,
    per_class,
    top_k,
    wilson_interval,
)

pytestmark = pytest.mark.unit


def figures(*arguments: Any) -> dict[str, Any]:
    return SingleLabel().figures(*arguments).model_dump(mode="json")


# Six images of three classes; the third class has no image. Right: 0, 1, 3, 4.
PROBABILITIES = np.array(
    [
        [0.90, 0.06, 0.04],
        [0.50, 0.30, 0.20],
        [0.20, 0.70, 0.10],
        [0.30, 0.40, 0.30],
        [0.10, 0.80, 0.10],
        [0.35, 0.25, 0.40],
    ],
    np.float32,
)
LABELS = np.array([0, 0, 0, 1, 1, 1])


def test_shares_by_hand():
    assert top_k(PROBABILITIES, LABELS, 1) == pytest.approx(100 * 4 / 6)
    assert top_k(PROBABILITIES, LABELS, 2) == pytest.approx(100 * 5 / 6)
    assert top_k(PROBABILITIES, LABELS, 3) == 100
    assert top_k(PROBABILITIES, LABELS, 5) == 100


def test_classes_by_hand():
    assert per_class(PROBABILITIES, LABELS) == [
        pytest.approx(200 / 3),
        pytest.approx(200 / 3),
        None,
    ]
    assert macro(PROBABILITIES, LABELS) == pytest.approx(200 / 3)
    assert macro(PROBABILITIES[:4], LABELS[:4]) == pytest.approx((200 / 3 + 100) / 2)


def test_confusion_by_hand():
    assert confusion(PROBABILITIES, LABELS) == [[2, 1, 0], [0, 2, 1], [0, 0, 0]]


def test_calibration_error_by_hand():
    # Bins of 1/15: 0.40 and 0.40 share one (right, wrong); the others are alone.
    gaps = [abs(0.9 - 1), abs(0.5 - 1), abs(0.7 - 0), 2 * abs(0.4 - 0.5), abs(0.8 - 1)]
    wanted = 100 * sum(gaps) / 6
    assert expected_calibration_error(PROBABILITIES, LABELS) == pytest.approx(wanted, rel=1e-5)


def test_wilson_by_hand():
    # p = 1/2, n = 10, z = 1.96: centre 1/2, half 1.96 sqrt(10/4 + 1.96^2/4) / (10 + 1.96^2).
    half = 1.96 * np.sqrt(2.5 + 1.96**2 / 4) / (10 + 1.96**2)
    assert wilson_interval(50, 10) == pytest.approx((50 - 100 * half, 50 + 100 * half))
    # Wilson 1927 as tabled: none of 10 is still up to 27.8 %, 81 of 263 is 25.5 to 36.6 %.
    assert wilson_interval(0, 10) == pytest.approx((0, 27.75), abs=0.01)
    assert wilson_interval(100 * 81 / 263, 263) == pytest.approx((25.53, 36.62), abs=0.01)


@given(st.floats(0, 100), st.integers(1, 10_000))
def test_the_interval_holds_the_share_and_stays_a_percentage(share, images):
    low, high = wilson_interval(share, images)
    assert -1e-9 <= low <= share + 1e-9
    assert share - 1e-9 <= high <= 100 + 1e-9
    assert wilson_interval(100 - share, images) == pytest.approx((100 - high, 100 - low))


def test_pairs_by_hand():
    found = confused_pairs(PROBABILITIES, LABELS, ("tit", "robin", "wren"))
    assert [pair.classes for pair in found] == [("robin", "wren"), ("tit", "robin")]
    robin_wren, tit_robin = found
    assert (robin_wren.images, robin_wren.confused) == ((3, 0), (1, 0))
    assert robin_wren.share == pytest.approx(100 / 3)
    assert (tit_robin.images, tit_robin.confused) == ((3, 3), (1, 0))
    assert tit_robin.share == pytest.approx(100 / 6)
    (mistake,) = robin_wren.mistakes
    assert (mistake.index, mistake.truth, mistake.answer) == (5, "robin", "wren")
    assert mistake.score == pytest.approx(0.4)
    # Nothing was ever recognised as a wren, so there is no picture of one.
    (reference,) = robin_wren.references
    assert (reference.index, reference.truth, reference.answer) == (4, "robin", "robin")
    assert reference.score == pytest.approx(0.8)
    assert [image.index for image in tit_robin.references] == [0, 4]


def test_a_pair_shows_the_three_surest_mistakes_of_each_direction():
    # Class 0 taken for 1 five times, 1 for 0 once.
    wrong = np.array([0.6, 0.9, 0.7, 0.8, 0.9, 0.55])
    probabilities = np.stack([1 - wrong, wrong], axis=1)
    probabilities[5] = probabilities[5, ::-1]
    (pair,) = confused_pairs(probabilities, np.array([0, 0, 0, 0, 0, 1]), ("a", "b"))
    assert [image.index for image in pair.mistakes] == [1, 4, 3, 5]
    assert (pair.confused, pair.share, pair.references) == ((5, 1), 100, ())


def test_equally_many_confusions_are_ordered_by_share():
    # a and b are confused once in 8 images, c and d once in 2.
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 3])
    answers = np.array([1, 0, 0, 0, 1, 1, 1, 1, 3, 3])
    found = confused_pairs(np.eye(4)[answers], labels, "abcd")
    assert [(pair.classes, pair.share) for pair in found] == [
        (("c", "d"), 50.0),
        (("a", "b"), 12.5),
    ]
    assert confused_pairs(np.eye(4)[answers], labels, "abcd", 1) == found[:1]


def test_full_confidence_is_in_the_last_bin():
    sure = np.eye(4, dtype=np.float32)
    assert expected_calibration_error(sure, np.arange(4)) == 0
    assert expected_calibration_error(sure, np.array([1, 2, 3, 0])) == pytest.approx(100)


def test_evaluation_puts_it_all_together():
    body = figures(PROBABILITIES, LABELS, ("tit", "robin", "wren"))
    assert body["top1"] == pytest.approx(100 * 4 / 6)
    assert body["top5"] == 100
    assert body["macro"] == pytest.approx(200 / 3)
    assert body["ece"] == expected_calibration_error(PROBABILITIES, LABELS)
    assert body["images"] == 6
    assert [(c["name"], c["images"]) for c in body["classes"]] == [
        ("tit", 3),
        ("robin", 3),
        ("wren", 0),
    ]
    assert body["classes"][2]["top1"] is None
    assert body["confusion"] == [[2, 1, 0], [0, 2, 1], [0, 0, 0]]
    assert body["top1_interval"] == list(wilson_interval(body["top1"], 6))
    pairs = confused_pairs(PROBABILITIES, LABELS, ("tit", "robin", "wren"))
    assert body["confused_pairs"] == [pair.model_dump(mode="json") for pair in pairs]


def test_an_evaluation_names_ten_pairs():
    # Each of 12 classes is once taken for the next.
    labels = np.arange(12)
    body = figures(np.eye(12)[(labels + 1) % 12], labels, [str(i) for i in range(12)])
    assert len(body["confused_pairs"]) == 10


def test_ties_count_for_the_first_class():
    even = np.full((2, 3), 1 / 3)
    assert top_k(even, np.array([0, 1]), 1) == 50
    assert top_k(even, np.array([1, 2]), 2) == 50
    assert confusion(even, np.array([0, 2])) == [[1, 0, 0], [0, 0, 0], [1, 0, 0]]


@st.composite
def answers(draw):
    """Probabilities (N, K) and labels (N,)."""
    images, classes = draw(st.integers(1, 40)), draw(st.integers(2, 7))
    values = draw(arrays(np.float64, (images, classes), elements=st.floats(0.01, 1)))
    labels = draw(arrays(np.int64, images, elements=st.integers(0, classes - 1)))
    return values / values.sum(axis=1, keepdims=True), labels


@given(answers(), st.integers(1, 8))
def test_top_k_counts_those_with_fewer_than_k_better_classes(answer, k):
    probabilities, labels = answer
    right = 0
    for row, label in zip(probabilities, labels, strict=True):
        better = sum(p > row[label] or (p == row[label] and i < label) for i, p in enumerate(row))
        right += better < k
    assert top_k(probabilities, labels, k) == pytest.approx(100 * right / len(labels))


@given(answers())
def test_class_accuracies_are_the_confusions_diagonal(answer):
    table = np.array(confusion(*answer))
    labels = answer[1]
    assert table.sum() == len(labels)
    assert table.sum(axis=1).tolist() == np.bincount(labels, minlength=len(table)).tolist()
    for label, found in enumerate(per_class(*answer)):
        images = table[label].sum()
        wanted = pytest.approx(100 * table[label, label] / images) if images else None
        assert found == wanted
    assert top_k(*answer, 1) == pytest.approx(100 * np.trace(table) / table.sum())  # type: ignore[call-arg]


@given(answers())
def test_pairs_count_every_confusion_once(answer):
    probabilities, labels = answer
    table = np.array(confusion(*answer))
    names = [str(i) for i in range(len(table))]
    found = confused_pairs(*answer, names)  # type: ignore[call-arg]
    assert sum(sum(pair.confused) for pair in found) == table.sum() - np.trace(table)
    assert len({tuple(sorted(pair.classes)) for pair in found}) == len(found)
    counts = [sum(pair.confused) for pair in found]
    assert counts == sorted(counts, reverse=True)
    for pair in found:
        a, b = (int(name) for name in pair.classes)
        assert pair.confused == (table[a, b], table[b, a])
        assert 0 < pair.share <= 100 + 1e-9
        for look in (*pair.mistakes, *pair.references):
            row = probabilities[look.index]
            assert labels[look.index] == int(look.truth)
            assert row.argmax() == int(look.answer)
            assert look.score == row.max()
        assert all(look.truth != look.answer for look in pair.mistakes)
        assert all(look.truth == look.answer for look in pair.references)


@given(answers())
def test_macro_is_the_mean_recall(answer):
    table = np.array(confusion(*answer))
    there = table.sum(axis=1) > 0
    recall = np.diag(table)[there] / table.sum(axis=1)[there]
    assert macro(*answer) == pytest.approx(100 * recall.mean())


@given(answers())
def test_calibration_error_is_the_sum_over_bins(answer):
    probabilities, labels = answer
    rows = [
        (row.max(), int(row.argmax() == label))
        for row, label in zip(probabilities, labels, strict=True)
    ]
    total = 0.0
    for bin_ in range(15):
        inside = [r for r in rows if int(r[0] * 15) == bin_ or (bin_ == 14 and r[0] == 1)]
        total += abs(
            sum(confidence for confidence, _ in inside) - sum(right for _, right in inside)
        )
    wanted = pytest.approx(100 * total / len(rows), abs=1e-6)
    assert expected_calibration_error(probabilities, labels) == wanted


@given(answers())
def test_all_are_percent_and_top5_is_at_least_top1(answer):
    body = figures(*answer, [str(i) for i in range(answer[0].shape[1])])
    for name in ("top1", "top5", "macro", "ece"):
        assert 0 <= body[name] <= 100 + 1e-9
    assert body["top5"] >= body["top1"]
