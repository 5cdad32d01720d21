from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_fgir import InputError
from edge_fgir.runtime import Judge, LabelInfo, Site

pytestmark = pytest.mark.unit

LABELS = ("nashville", "magnolia", "puffin", "wren")
WARBLERS = Site(
    labels={
        "nashville": LabelInfo(name="Nashville warbler", parent="warbler"),
        "magnolia": LabelInfo(scientific_name="Setophaga magnolia", parent="warbler"),
        "wren": LabelInfo(parent="songbird"),
    },
    parents={
        "warbler": LabelInfo(name="a warbler", parent="songbird"),
        "songbird": LabelInfo(name="a songbird"),
    },
)


def judged(probabilities, site=None, threshold=0.5):
    return Judge(LABELS, threshold, site)(np.array(probabilities))


def test_without_a_site_the_likeliest_class_is_the_answer():
    verdict = judged([0.2, 0.6, 0.1, 0.1])
    assert (verdict.label, verdict.name, verdict.index) == ("magnolia", "magnolia", 1)
    assert verdict.score == pytest.approx(0.6)
    assert not verdict.is_unknown
    assert judged([0.2, 0.4, 0.2, 0.2]).is_unknown


def test_names_come_from_the_site():
    assert judged([0.9, 0.1, 0, 0], WARBLERS).name == "Nashville warbler"
    verdict = judged([0.1, 0.9, 0, 0], WARBLERS)
    assert (verdict.name, verdict.scientific_name) == ("magnolia", "Setophaga magnolia")


@pytest.mark.parametrize(
    ("probabilities", "label", "score"),
    [
        ([0.55, 0.40, 0.05, 0.00], "warbler", 0.95),  # reaches the threshold, and ties
        ([0.45, 0.05, 0.30, 0.20], "warbler", 0.50),  # does not reach it
        ([0.70, 0.25, 0.05, 0.00], "nashville", 0.70),
        ([0.30, 0.15, 0.15, 0.40], "songbird", 0.85),  # a parent's parent
        ([0.30, 0.28, 0.02, 0.40], "songbird", 0.98),  # warblers tie with the wren
    ],
)
def test_children_that_tie_are_answered_by_their_parent(probabilities, label, score):
    verdict = judged(probabilities, WARBLERS)
    assert (verdict.label, verdict.score) == (label, pytest.approx(score))
    assert not verdict.is_unknown


def test_what_no_parent_reaches_is_unknown():
    assert judged([0.2, 0.1, 0.6, 0.1], WARBLERS, 0.7).is_unknown
    assert judged([0.2, 0.1, 0.6, 0.1], WARBLERS, 0.7).label == "puffin"


def test_a_prior_is_multiplied_in():
    site = Site(labels={"nashville": LabelInfo(prior=3)})
    verdict = judged([0.3, 0.4, 0.2, 0.1], site)
    assert (verdict.label, verdict.score) == ("nashville", pytest.approx(0.9 / 1.6))


@pytest.mark.parametrize(
    "site", [Site(deny=("puffin",)), Site(allow=("nashville", "magnolia", "wren"))]
)
def test_a_picture_of_a_denied_class_is_unknown_and_not_the_next_class(site):
    verdict = judged([0.02, 0.03, 0.95, 0.0], site)
    assert (verdict.label, verdict.is_unknown) == ("magnolia", True)
    assert judged([0.1, 0.6, 0.3, 0.0], site).label == "magnolia"


def test_a_parent_stands_for_its_classes():
    site = Site(**{**WARBLERS.model_dump(), "allow": ("warbler",)})
    assert judged([0.1, 0.1, 0.0, 0.8], site).is_unknown
    assert judged([0.8, 0.1, 0.0, 0.1], site).label == "nashville"


def test_a_class_may_have_a_threshold_of_its_own():
    site = Site(labels={"wren": LabelInfo(threshold=0.9), "puffin": LabelInfo(threshold=0.2)})
    assert judged([0.1, 0.1, 0.0, 0.8], site).is_unknown
    assert not judged([0.24, 0.24, 0.28, 0.24], site).is_unknown


@given(st.lists(st.floats(0.001, 1), min_size=4, max_size=4))
def test_priors_and_classes_may_be_in_any_order(values):
    probabilities = np.array(values) / sum(values)
    site = Site(
        labels={name: LabelInfo(prior=i + 1.0) for i, name in enumerate(LABELS)}, deny=("puffin",)
    )
    order = [2, 0, 3, 1]
    turned = Judge([LABELS[i] for i in order], 0.4, site)(probabilities[order])
    assert turned.score == pytest.approx(judged(probabilities, site, 0.4).score)
    assert turned.label != "puffin"
    posterior = Judge(LABELS, 0.4, site).posterior(probabilities)
    assert posterior.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("labels: {nashvile: {prior: 2}}", "names 'nashvile'.*expected nashville"),
        ("deny: [gulls]", "names 'gulls', which the model does not know"),
        ("deny: [nashville, magnolia, puffin, wren]", "leave no class that may be answered"),
        ("allow: []", "leave no class that may be answered"),
        ("labels: {wren: {parent: bird}}", "wren has the parent bird, which is not in parents"),
        ("parents: {a: {parent: b}, b: {parent: a}}", "is its own ancestor"),
        ("labels: {wren: {prior: 0}}", "labels.wren.prior: Input should be greater than 0"),
        ("label: {}", "unknown key label; expected labels"),
        ("[1, 2", "site.yaml is not YAML"),
        ("- wren", "site.yaml"),
    ],
)
def test_a_site_that_does_not_fit_is_refused(text, message, tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        Judge(LABELS, 0.5, Site.read(path))


def test_a_site_file_is_read(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text("labels:\n  wren: {name: Zaunkönig, prior: 2.5}\ndeny: [puffin]\n")
    site = Site.read(path)
    assert site.info("wren").name == "Zaunkönig"
    assert site.deny == ("puffin",)
    with pytest.raises(InputError, match=r"no\.yaml does not exist"):
        Site.read(tmp_path / "no.yaml")
