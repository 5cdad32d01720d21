from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
from bundles import make_bundle
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import edge_fgir
from edge_fgir import InputError
from edge_fgir.api import _thresholds
from edge_fgir.evaluation import Answers, precision_thresholds
from edge_fgir.runtime import Judge, LabelInfo, Site

pytestmark = pytest.mark.unit


def rows(*answers: tuple[int, float]):
    """Probabilities of three classes: each row answers a class with a score."""
    found = np.array([[(1 - score) / 2] * 3 for _, score in answers])
    for row, (label, score) in zip(found, answers, strict=True):
        row[label] = score
    return found


def test_by_hand():
    asked = rows((0, 0.9), (0, 0.8), (0, 0.7), (0, 0.6), (1, 0.9), (1, 0.5))
    right = np.array([0, 0, 1, 0, 2, 2])
    # Of class 0, 2 of 2 from 0.8 on and 3 of 4 from 0.6 on; no answer of class 1; none of class 2.
    assert precision_thresholds(asked, right, 0.75) == (pytest.approx(0.6), 1.0, None)
    assert precision_thresholds(asked, right, 0.9) == (pytest.approx(0.8), 1.0, None)


def test_pictures_of_one_score_stand_or_fall_together():
    asked, right = rows((0, 0.9), (0, 0.7), (0, 0.7)), np.array([0, 0, 1])
    assert precision_thresholds(asked, right, 0.9)[0] == pytest.approx(0.9)


cases = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([0.4, 0.5, 0.6, 0.8, 0.95]), st.integers(0, 2)),
    min_size=1,
    max_size=30,
)


@given(cases, st.sampled_from([0.5, 0.8, 0.95]))
def test_the_share_is_kept_and_a_lower_score_would_not_keep_it(cases, precision):
    asked = rows(*((label, score) for label, score, _ in cases))
    right = np.array([truth for *_, truth in cases])
    for label, threshold in enumerate(precision_thresholds(asked, right, precision)):
        mine = asked.argmax(axis=1) == label
        assert (threshold is None) == (not mine.any())
        for score in sorted(set(asked[mine].max(axis=1))):
            taken = mine & (asked.max(axis=1) >= score)
            share = (right[taken] == label).mean()
            if score == threshold:
                assert share >= precision
            elif score < threshold:
                assert share < precision


def test_thresholds_are_of_the_scores_that_the_site_compares(monkeypatch):
    names = ("wren", "robin", "puffin")
    said = np.array([[0.6, 0.4, 0.0], [0.2, 0.8, 0.0], [0.0, 0.1, 0.9]])
    site = Site(labels={"robin": LabelInfo(prior=3)}, deny=("puffin",))
    monkeypatch.setattr(
        _thresholds,
        "Classifier",
        SimpleNamespace(
            open=lambda *a, site=None: nullcontext(SimpleNamespace(judge=Judge(names, 0.5, site)))
        ),
    )
    monkeypatch.setattr(_thresholds, "data_set", lambda data: data)
    monkeypatch.setattr(
        _thresholds, "answers", lambda *a: Answers(said, np.array([0, 1, 2]), names)
    )
    found = edge_fgir.fit_thresholds("birds.fgir", "photos", 0.9, site=site)
    # After the prior, robin has 1.2 of 1.8 in the first row and 2.4 of 2.6 in the second.
    assert found.info("robin").threshold == pytest.approx(2.4 / 2.6, abs=1e-6)
    assert found.info("wren").threshold is None
    assert found.info("puffin").threshold is None
    verdicts = [Judge(names, 0.0, found)(row) for row in said]
    assert [each.is_unknown for each in verdicts] == [True, False, True]


@pytest.mark.export
def test_the_command_writes_a_site_that_opens(run_cli, tmp_path):
    pytest.importorskip("openvino")
    names, colors = ("1 red", "2 green", "3 blue"), ((240, 30, 20), (30, 220, 40), (20, 40, 230))
    bundle = make_bundle(tmp_path / "a.fgir", labels=names)
    for split in ("train", "val"):
        for name, shown in zip(names, ((0, 0), (1, 0), (2, 2)), strict=True):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for number, color in enumerate(shown):
                image = Image.new("RGB", (40, 30), colors[color])
                image.save(tmp_path / "data" / split / name / f"{number}.png")
    before = Site(labels={"1 red": LabelInfo(name="Rot", prior=2)}, deny=("3 blue",))
    before.write(tmp_path / "before.yaml")
    done = run_cli(
        *("thresholds", bundle, "--data", tmp_path / "data", "--precision", 0.9),
        *("--out", tmp_path / "site.yaml", "--site", tmp_path / "before.yaml"),
    )
    assert done.code == 0
    assert "1 of them never" in done.out  # a third of what is called red is green
    site = Site.read(tmp_path / "site.yaml")
    assert site.info("1 red") == LabelInfo(name="Rot", prior=2, threshold=1)
    assert 0.5 < site.info("2 green").threshold < 1
    assert site.deny == ("3 blue",)
    with edge_fgir.Classifier.open(bundle, site=site) as model:
        assert model(np.full((30, 40, 3), colors[1][::-1], np.uint8)).label == "2 green"
    with pytest.raises(InputError, match=r"precision 95; expected a share"):
        edge_fgir.fit_thresholds(bundle, tmp_path / "data", 95)
