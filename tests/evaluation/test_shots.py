from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import LABELS, make_bundle
from hypothesis import given
from hypothesis import strategies as st

from edge_fgir import InputError
from edge_fgir.evaluation import GROUPS, Shots, SingleLabel, known_counts, macro_f1, worst_decile
from edge_fgir.runtime import Bundle

pytestmark = pytest.mark.unit


def figures(*arguments: Any) -> dict[str, Any]:
    return SingleLabel().figures(*arguments).model_dump(mode="json")


def test_three_classes_are_many_medium_and_few():
    shots = Shots((200, 50, 10))
    assert shots.groups == GROUPS
    labels = np.array([0] * 10 + [1] * 4 + [2] * 2)
    answers = np.array([0] * 9 + [1] + [1] * 3 + [0] + [0, 2])
    body = figures(np.eye(3)[answers], labels, ("a", "b", "c"), shots)
    assert [group["group"] for group in body["shots"]] == list(GROUPS)
    assert [group["top1"] for group in body["shots"]] == [90, 75, 50]
    assert [group["images"] for group in body["shots"]] == [10, 4, 2]
    assert body["macro"] == pytest.approx((90 + 75 + 50) / 3)
    assert body["top1"] == pytest.approx(100 * 13 / 16)
    assert body["classes"][2] == {
        "name": "c",
        "images": 2,
        "top1": 50.0,
        "train_images": 10,
        "group": "few",
    }


@pytest.mark.parametrize(
    ("count", "group"), [(101, "many"), (100, "medium"), (20, "medium"), (19, "few"), (0, "few")]
)
def test_the_bounds_belong_to_medium(count, group):
    assert Shots((count,)).groups == (group,)


def test_bounds_can_be_chosen():
    shots = Shots((300, 200, 50, 49), many=200, few=50)
    assert shots.groups == ("many", "medium", "medium", "few")
    assert shots.ranges == {"many": "> 200", "medium": "50 to 200", "few": "< 50"}
    with pytest.raises(InputError, match="the first number to be the larger"):
        Shots((1,), many=20, few=100)


def test_classes_without_images_are_left_out_and_counted():
    shots = Shots((300, 300, 10))
    rows = shots.accuracy([80.0, None, None], [5, 0, 0])
    assert [(row.classes, row.tested, row.top1) for row in rows] == [
        (2, 1, 80.0),
        (0, 0, None),
        (1, 0, None),
    ]


def test_without_training_counts_nothing_is_said():
    body = figures(np.eye(2), np.array([0, 1]), ("a", "b"))
    assert body["shots"] == []
    assert body["classes"][0]["name"] == "a"
    assert body["classes"][0]["train_images"] is None


ANSWERS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40)


@given(ANSWERS, st.randoms(use_true_random=False))
def test_every_image_counts_once_in_whatever_order(answers, random):
    shots = Shots((500, 90, 60, 7, 3))
    shuffled = random.sample(answers, len(answers))
    first, again = (
        figures(np.eye(5)[[a for _, a in pairs]], np.array([b for b, _ in pairs]), "abcde", shots)
        for pairs in (answers, shuffled)
    )
    assert first["images"] == len(answers) == sum(one["images"] for one in first["classes"])
    assert sum(group["images"] for group in first["shots"]) == len(answers)
    for key in ("top1", "macro", "macro_f1", "worst_decile", "shots", "classes"):
        assert first[key] == again[key]


def test_f1_weighs_what_is_missed_and_what_is_wrongly_said():
    labels = np.array([0, 0, 0, 1])
    answers = np.eye(3)[[0, 0, 1, 1]]
    # Class 0: 2 of 2 answers right, 2 of 3 found; class 1: 1 of 2, 1 of 1; class 2: no images.
    assert macro_f1(answers, labels) == pytest.approx(100 * (0.8 + 2 / 3) / 2)


def test_the_worst_decile_is_at_least_one_class():
    labels = np.arange(12).repeat(2)
    answers = labels.copy()
    answers[[0, 1, 2]] = 11  # class 0 is never recognised, class 1 every other time
    assert worst_decile(np.eye(12)[answers], labels) == pytest.approx(25)
    assert worst_decile(np.eye(12)[answers[4:]], labels[4:]) == 100


@pytest.mark.export
@pytest.mark.parametrize(
    ("classes", "known"),
    [
        ([{"train_images": count} for count in (5, 0, 7)], (5, 0, 7)),
        ([{"train_images": 5}], ()),
        ([{"train_images": "many"}] * 3, ()),
        ([{"name": "red"}] * 3, ()),
        (None, ()),
        (7, ()),
    ],
)
def test_a_bundle_may_know_what_it_was_trained_on(tmp_path: Path, classes, known):
    pytest.importorskip("onnx")
    report = json.dumps({} if classes is None else {"classes": classes}).encode()
    path = make_bundle(
        tmp_path / "a.fgir", target="arm", replaced={"reports/accuracy.json": report}
    )
    assert len(LABELS) == 3
    assert known_counts(Bundle(path)) == known
