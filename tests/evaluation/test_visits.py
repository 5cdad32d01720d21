"""Accuracy a visit: which pictures belong together, how they vote, and how sure that is."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from bundles import make_bundle
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge_fgir import InputError
from edge_fgir.data import DataSet, Sample
from edge_fgir.data.part import Part
from edge_fgir.evaluation import (
    FRIGATE,
    Visits,
    clustered_interval,
    visit_accuracy,
    wilson_interval,
)
from edge_fgir.runtime import EventOptions
from edge_fgir.runtime.decisions import Votes

pytestmark = pytest.mark.unit

COLORS = {"red": (240, 30, 20), "green": (30, 220, 40), "blue": (20, 40, 230)}
_TAKEN, _DECIMALS, _EXIF = 0x9003, 0x9291, 0x8769


def save(path: Path, taken: str | None = None, decimals: str | None = None, color="red") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image, exif = Image.new("RGB", (32, 32), COLORS[color]), Image.Exif()
    tags = exif.get_ifd(_EXIF)
    if taken is not None:
        tags[_TAKEN] = taken
    if decimals is not None:
        tags[_DECIMALS] = decimals
    image.save(path, exif=exif)
    return path


def numbers(word: str, *samples: tuple[Path, int]) -> list[int]:
    listed = [Sample(path, label) for path, label in samples]
    data = DataSet("birds", "none", ("red", "green"), {"test": listed})
    return Visits.parse(word).numbers(data, listed).tolist()


def test_folders_inside_the_classes():
    places = [("a/1/x", 0), ("a/1/y", 0), ("a/2/x", 0), ("b/1/x", 1)]
    assert numbers("folder", *((Path(path), label) for path, label in places)) == [0, 0, 1, 2]


def test_the_folders_of_the_classes_are_no_visits():
    with pytest.raises(InputError, match=r"data birds has one folder a class, such as a; .*name:"):
        numbers("folder", (Path("a/x"), 0), (Path("a/y"), 0), (Path("b/x"), 1))


def test_what_lies_beside_folders_of_visits_is_on_its_own():
    places = [("red/1/x", 0), ("red/1/y", 0), ("red/x", 0), ("green/x", 1), ("green/y", 1)]
    found = numbers("folder", *((Path(path), label) for path, label in places))
    assert found == [0, 0, 1, 2, 3]


def test_each_class_may_have_one_visit():
    places = [("red/1/x", 0), ("red/1/y", 0), ("green/1/x", 1)]
    assert numbers("folder", *((Path(path), label) for path, label in places)) == [0, 0, 1]


def test_shards_have_no_folders():
    tars = [Path("test-000000.tar"), Path("test-000001.tar")]
    listed = [Sample(tar / "0.png", 0, Part(tar, 512, 90)) for tar in tars]
    data = DataSet("birds", "none", ("red", "green"), {"test": listed})
    with pytest.raises(InputError, match=r"data birds lies in shards, such as test-000000\.tar;"):
        Visits.parse("folder").numbers(data, listed)


def test_frigates_names():
    names = [
        ("wren-1780000001.10-abc123.png", 0),
        ("wren-1780000001.25-abc124.png", 0),
        ("wren-1780000009.30-abc125.png", 0),
        ("jay-1780000001.20-abc126.png", 1),
        ("photo.png", 1),
    ]
    assert numbers("frigate", *((Path(name), label) for name, label in names)) == [0, 0, 1, 2, 3]


def test_names_of_which_none_is_frigates():
    names = (Path("photo.png"), 0), (Path("wren-17.png"), 0)
    with pytest.raises(InputError, match=r"none of 2 pictures, such as photo\.png, has a name of"):
        numbers("frigate", *names)
    samples = [Sample(path, label) for path, label in names]
    data = DataSet("birds", "none", ("wren",), {"test": samples})
    assert Visits(FRIGATE, lenient=True).numbers(data, samples).tolist() == [0, 1]


def test_a_pattern_in_the_names():
    names = [("cam1_17_a.jpg", 0), ("cam2_17_a.jpg", 0), ("cam1_17_b.jpg", 0), ("cam1_17_c.jpg", 1)]
    found = numbers(r"name:(cam\d)_(\d+)", *((Path(name), label) for name, label in names))
    assert found == [0, 1, 0, 2]  # the last is of another class


def test_a_name_without_the_pattern_is_named():
    with pytest.raises(InputError, match=r"odd\.jpg has no \(\[0-9\]\+\)"):
        numbers("name:([0-9]+)", (Path("7.jpg"), 0), (Path("odd.jpg"), 0))


def test_pauses_of_the_cameras_clock(tmp_path):
    day = "2026:05:01 "
    samples = [
        (save(tmp_path / "3.jpg", f"{day}12:01:40"), 0),
        (save(tmp_path / "1.jpg", f"{day}12:00:00"), 0),
        (save(tmp_path / "2.jpg", f"{day}12:00:30", "5"), 0),
        (save(tmp_path / "other.jpg", f"{day}12:00:10"), 1),
        (save(tmp_path / "undated.jpg"), 0),
        (save(tmp_path / "odd.jpg", "yesterday"), 0),
    ]
    # 1 and 2 are 30.5 s apart, 3 comes 69.5 s later; of another class; and two without a time.
    assert numbers("time:31", *samples) == [0, 1, 1, 2, 3, 4]
    assert numbers("time:30.4", *samples) == [0, 1, 2, 3, 4, 5]
    assert numbers("time:69.5", *samples) == [0, 0, 0, 1, 2, 3]


def test_pictures_that_tell_no_time_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"none of 1 pictures, such as a\.jpg, tells when"):
        numbers("time:60", (save(tmp_path / "a.jpg"), 0))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("folders", "visits folders; expected folder, frigate, name:REGEX with"),
        ("name:[0-9]+", "has no group; expected one that finds the visit"),
        ("name:(", "expected a regular expression"),
        ("time:soon", "visits time:soon; expected seconds"),
        ("time:-1", "visits time:-1; expected seconds"),
        ("time:nan", "visits time:nan; expected seconds"),
    ],
)
def test_other_words_are_refused(word, message):
    with pytest.raises(InputError, match=re.escape(message)):
        Visits.parse(word)


def test_by_hand():
    # The first visit is right 2 times of 3 and loses by the vote of one very sure mistake.
    answers = np.array([[0.6, 0.4], [0.6, 0.4], [0.001, 0.999], [0.3, 0.7], [0.6, 0.4]])
    labels, visits = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1])
    found = visit_accuracy("folder", visits, answers, labels)
    assert (found.visits, found.largest, found.single) == (2, 3, 0)
    assert found.top1 == 50
    assert found.top1_interval == wilson_interval(50, 2)


rows = st.lists(st.sampled_from([0.0, 0.1, 0.35, 0.6, 0.97]), min_size=3, max_size=3)


@given(st.lists(rows, min_size=1, max_size=6))
def test_the_answer_of_a_visit_is_that_of_the_camera(frames):
    answers = (np.array(frames) + 1e-3) / np.sum(np.array(frames) + 1e-3, axis=1, keepdims=True)
    votes = Votes(EventOptions(moment_s=0, memory_s=1e12))
    for time, answer in enumerate(answers):
        votes.add(answer, time)
    top, second = np.sort(votes.probabilities)[[-1, -2]]
    if top - second < 1e-6:
        return  # a tie may end either way
    label = int(votes.probabilities.argmax())
    visits, labels = np.zeros(len(answers), np.int64), np.full(len(answers), label)
    assert visit_accuracy("folder", visits, answers, labels).top1 == 100


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=2, max_size=60))
def test_alike_pictures_leave_more_doubt_and_single_ones_as_much(drawn):
    right = np.array([one for one, _ in drawn])
    _, groups = np.unique([group for _, group in drawn], return_inverse=True)
    share = 100 * right.mean()
    low, high = clustered_interval(right, groups)
    plain_low, plain_high = wilson_interval(share, len(right))
    assert low <= plain_low + 1e-9
    assert high >= plain_high - 1e-9
    alone = clustered_interval(right, np.arange(len(right)))
    # A sample's variance has one degree of freedom less.
    assert alone == pytest.approx(
        wilson_interval(share, len(right) if share in (0, 100) else len(right) - 1)
    )


def test_the_interval_of_copies_is_that_of_the_visits():
    right = np.repeat([True, True, False, True, True, True, True, False], 10)
    groups = np.repeat(np.arange(8), 10)
    assert clustered_interval(right, groups) == pytest.approx(wilson_interval(75, 7))
    assert clustered_interval(np.ones(80, bool), groups) == pytest.approx(wilson_interval(100, 8))


@pytest.mark.export
def test_eval_says_it_in_words_and_in_json(run_cli, tmp_path):
    pytest.importorskip("openvino")
    names = {"1 red": "red", "2 green": "green", "3 blue": "blue"}
    bundle = make_bundle(tmp_path / "a.fgir", labels=tuple(names))
    for split in ("train", "val", "test"):
        for name, own in names.items():
            for visit in range(2):
                for number in range(3):
                    # One picture of three in every visit shows another colour.
                    color = own if number else "green"
                    save(tmp_path / "data" / split / name / f"v{visit}_{number}.png", color=color)
    options = ("eval", bundle, "--data", tmp_path / "data", "--visits", r"name:(v\d)_")
    done = run_cli(*options, "--json")
    assert done.code == 0, done.err
    found = done.json
    assert found["top1"] == pytest.approx(100 * 14 / 18)
    assert found["visits"]["top1"] == 100
    assert found["visits"]["visits"] == 6
    line = run_cli(*options).out.splitlines()[1]
    assert line.startswith(
        r"a visit (name:(v\d)_): top-1 100.00 % of 6 visits, 95 % interval 60.97"
    )
    assert "visits" not in run_cli("eval", bundle, "--data", tmp_path / "data").out
