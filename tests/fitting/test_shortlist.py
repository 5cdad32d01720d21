"""Latency first: which sizes a budget allows, by a predictor that is made up."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_fgir import InputError
from edge_fgir.fitting.latencies import interpolated
from edge_fgir.fitting.networks import (
    PRETRAINED,
    TEACHER,
    Architecture,
    Candidate,
    architectures,
    from_timm,
)
from edge_fgir.fitting.shortlist import Shortlist
from edge_fgir.results import Budget

pytestmark = pytest.mark.unit

CNN = Architecture("tf_efficientnet_lite0", 224, "efficientnet-lite0")
HEAVY = Architecture("tf_efficientnet_lite2", 260, "efficientnet-lite2")
VIT = Architecture("vitfs_tiny", 224, keep_rates=(1.0, 0.5))


class Made(NamedTuple):
    ms: float
    tail: float = 1.5
    size_mb: float = 4.0
    measured: bool = True


def predict(candidate, precision):
    """One millisecond at 128 px in INT8; float takes double, Lite2 fivefold."""
    factor = {"int8": 1.0, "fp32": 2.0}[precision]
    factor *= 5 if candidate.architecture is HEAVY else 1
    factor *= candidate.keep_rate or 1.0
    size = 4.0 if precision == "int8" else 16.0
    return Made(factor * (candidate.image_size / 128) ** 2, size_mb=size)


def shortlist(**budget) -> Shortlist:
    return Shortlist(Budget(**budget), ("int8", "fp32"), predict)


def sizes(found):
    return {
        (e.candidate.architecture.name, e.candidate.keep_rate): e.candidate.image_size
        for e in found
    }


def test_of_each_network_the_largest_size_that_fits() -> None:
    found = shortlist(latency_ms=3).of([CNN, HEAVY, VIT])
    # 208 px take 2.64 ms; 224 px 3.06. Of Lite2 80 px take 1.95 and 96 px 2.81.
    assert sizes(found) == {
        ("tf_efficientnet_lite0", None): 208,
        ("tf_efficientnet_lite2", None): 96,
        ("vitfs_tiny", 1.0): 208,
        ("vitfs_tiny", 0.5): 288,
    }
    assert [each.fits for each in found[0].latencies] == [True, False]


def test_a_prediction_at_the_very_bound_does_not_fit() -> None:
    exactly = (208 / 128) ** 2
    assert sizes(shortlist(latency_ms=exactly).of([CNN])) == {("tf_efficientnet_lite0", None): 192}
    assert sizes(shortlist(latency_ms=exactly / 0.96).of([CNN])) == {
        ("tf_efficientnet_lite0", None): 208
    }


def test_p99_counts_the_tail() -> None:
    found = shortlist(latency_ms=3, percentile="p99").of([CNN])
    assert sizes(found) == {("tf_efficientnet_lite0", None): 176}


def test_without_a_bound_the_largest_size_is_not_far_from_the_native_one() -> None:
    assert sizes(shortlist().of([CNN])) == {("tf_efficientnet_lite0", None): 288}


def test_what_is_too_slow_stays_on_the_list_with_its_fastest() -> None:
    cnn, heavy = shortlist(latency_ms=0.6).of([CNN, HEAVY])
    assert cnn.fits
    assert not heavy.fits
    assert heavy.candidate.image_size == 64
    assert heavy.ms == pytest.approx(5 * 0.25)


def test_a_budget_that_nothing_keeps_names_the_nearest() -> None:
    narrow = shortlist(latency_ms=0.1)
    with pytest.raises(InputError) as refusal:
        narrow.check(narrow.of([HEAVY, CNN]))
    text = str(refusal.value)
    assert "tf_efficientnet_lite0 at 64 px in int8, takes 0.25 ms" in text
    assert "--latency-ms 0.26" in text
    assert sizes(shortlist(latency_ms=0.26).of([CNN])) == {("tf_efficientnet_lite0", None): 64}


def test_a_size_budget_that_nothing_keeps_names_the_nearest() -> None:
    narrow = shortlist(size_mb=1)
    with pytest.raises(InputError, match="--size-mb 4"):
        narrow.check(narrow.of([CNN]))


@pytest.mark.parametrize(
    ("budget", "named"),
    [
        ({"latency_ms": 0.1}, 0.26),
        # The 99th percentile is half above the median, 0.25 ms.
        ({"latency_ms": 0.3, "percentile": "p99"}, 0.39),
        ({"latency_ms": 0.3, "percentile": "p99", "size_mb": 9.0}, 0.39),
    ],
)
def test_the_budget_that_is_named_is_kept(budget, named) -> None:
    narrow = shortlist(**budget)
    with pytest.raises(InputError, match=f"--latency-ms {named}$"):
        narrow.check(narrow.of([CNN]))
    wide = shortlist(**{**budget, "latency_ms": named})
    wide.check(wide.of([CNN]))


@given(bound=st.floats(0.001, 0.2), percentile=st.sampled_from(["p50", "p99"]))
def test_no_budget_that_is_named_is_refused(bound, percentile) -> None:
    narrow = shortlist(latency_ms=bound, percentile=percentile)
    with pytest.raises(InputError) as refusal:
        narrow.check(narrow.of([HEAVY]))
    named = float(str(refusal.value).rpartition(" ")[2])
    wide = shortlist(latency_ms=named, percentile=percentile)
    wide.check(wide.of([HEAVY]))
    assert named <= 1.1 * (1.5 if percentile == "p99" else 1) * 1.25 / 0.97


def test_what_must_be_known_exactly_is_the_choice_and_the_next_larger_size() -> None:
    (found,) = shortlist(latency_ms=3).of([CNN])
    assert [each.image_size for each in shortlist().near(found)] == [208, 224]
    (largest,) = shortlist().of([CNN])
    assert shortlist().near(largest) == [largest.candidate]


@given(bound=st.floats(0.3, 30))
def test_what_is_chosen_fits_and_the_next_size_would_not(bound) -> None:
    (found,) = shortlist(latency_ms=bound).of([CNN])
    place = CNN.sizes.index(found.candidate.image_size)
    assert found.ms <= bound
    if place + 1 < len(CNN.sizes):
        assert (CNN.sizes[place + 1] / 128) ** 2 > 0.97 * bound


@given(share=st.floats(0.3, 2), size=st.sampled_from(CNN.sizes))
def test_a_bundle_that_takes_less_than_was_predicted_allows_larger_ones(share, size) -> None:
    bounds = shortlist(latency_ms=3)
    (first,) = bounds.of([CNN])
    built = Candidate(CNN, size)
    bounds.learn(built, "int8", share * predict(built, "int8").ms)
    bounds.learn(built, "int8", 3 * predict(built, "int8").ms)  # which other work may be why of
    largest = bounds.larger(first.candidate, "int8")
    fitting = [s for s in CNN.sizes if min(share, 1) * (s / 128) ** 2 <= 0.97 * 3]
    assert largest.image_size == max(fitting)
    (latency, _) = bounds.at(largest).latencies
    assert latency.fits
    assert latency.measured == (share >= 1)
    # Nothing was learned of its float, nor of another network.
    assert bounds.at(built).latencies[1].ms == predict(built, "fp32").ms
    assert bounds.of([HEAVY]) == shortlist(latency_ms=3).of([HEAVY])


def test_a_size_that_took_longer_than_a_larger_one_says_nothing() -> None:
    sizes, ms = (96, 112, 128, 208), (5.04, 4.35, 6.71, 13.26)
    assert interpolated(112, sizes, ms) == 4.35
    assert interpolated(96, sizes, ms) == interpolated(96, sizes[1:], ms[1:]) < 4.35


@given(size=st.integers(32, 400), slope=st.floats(1e-6, 1e-3), fixed=st.floats(0, 5))
def test_a_latency_that_follows_the_pixels_is_met_exactly(size, slope, fixed) -> None:
    probed = (96, 160, 256)
    ms = [fixed + slope * each**2 for each in probed]
    if size >= 96:
        assert interpolated(size, probed, ms) == pytest.approx(fixed + slope * size**2)
    assert interpolated(size, probed, ms) > 0


def test_with_more_time_more_networks_are_considered() -> None:
    short = architectures(5, timm_too=False, from_scratch_only=False)
    long = architectures(600, timm_too=False, from_scratch_only=False)
    assert {each.name for each in short} < {each.name for each in long}
    assert any(not each.is_pretrained for each in short)
    own = architectures(60, timm_too=True, from_scratch_only=True)
    assert own
    assert not any(each.is_pretrained for each in own)


def test_no_network_is_larger_than_the_pictures_that_come_in() -> None:
    free, bound = (
        architectures(600, timm_too=True, from_scratch_only=False, largest=largest)
        for largest in (None, 224)
    )
    assert [each.name for each in bound] == [each.name for each in free]
    assert max(side for each in free for side in each.sizes) > 224
    assert {max(each.sizes) for each in bound if each.native >= 224} == {224}
    for each in bound:
        assert set(each.probed) <= set(each.sizes)


@pytest.mark.parametrize(
    ("minutes", "balanced", "there"), [(60, False, True), (59, False, False), (60, True, False)]
)
def test_a_teacher_is_considered_where_there_is_time_and_its_loss_suits(
    minutes: float, balanced: bool, there: bool
) -> None:
    found = architectures(minutes, timm_too=False, from_scratch_only=False, balanced=balanced)
    assert (TEACHER in found) == there


def test_timms_networks_are_registered_and_have_weights() -> None:
    assert all(each.weights == "timm" and each.native >= 128 for each in from_timm())
    named = [each.name for each in architectures(60, timm_too=True, from_scratch_only=False)]
    assert set(named) >= {each.name for each in from_timm()}
    assert [each.native for each in PRETRAINED] == sorted(each.native for each in PRETRAINED)
