from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_fgir.data import Sample, draw_by_class, labels_of, stratified

pytestmark = pytest.mark.unit

LABELS = st.lists(st.integers(0, 5), min_size=1, max_size=120)
SHARES = st.sampled_from([[0.1], [0.15, 0.25], [0.0], [0.5, 0.5], [0.3, 0.3, 0.3], [1.0]])


@given(LABELS, SHARES, st.integers(0, 2**31))
def test_the_parts_are_disjoint_and_whole(labels, shares, seed) -> None:
    parts = stratified(labels, shares, seed)
    assert len(parts) == len(shares) + 1
    assert sorted(position for part in parts for position in part) == list(range(len(labels)))
    assert all(part == sorted(part) for part in parts)


@given(LABELS, st.sampled_from([[0.1], [0.15, 0.25], [0.2, 0.1]]), st.integers(0, 2**31))
def test_every_class_is_shared_out_by_the_fractions(labels, shares, seed) -> None:
    parts = stratified(labels, shares, seed)
    for label, members in Counter(labels).items():
        sizes = [sum(labels[position] == label for position in part) for part in parts]
        left = members
        for found, share in zip(sizes[1:], shares, strict=True):
            assert found == min(round(share * members), left - 1)
            left -= found
        assert sizes[0] == left >= 1


@given(LABELS, SHARES)
def test_the_first_part_keeps_one_of_every_class(labels, shares) -> None:
    first = stratified(labels, shares, 0)[0]
    assert {labels[position] for position in first} == set(labels)


@given(LABELS, SHARES, st.integers(0, 2**31))
def test_the_same_seed_gives_the_same_split(labels, shares, seed) -> None:
    assert stratified(labels, shares, seed) == stratified(tuple(labels), tuple(shares), seed)


def test_another_seed_gives_another_split() -> None:
    labels = [0] * 50 + [1] * 50
    assert stratified(labels, [0.3], 0) != stratified(labels, [0.3], 1)


def test_the_split_is_the_same_on_every_machine() -> None:
    kept, aside = stratified([0] * 12 + [1] * 12, [0.25], 0)
    assert aside == [2, 7, 9, 17, 21, 22]
    assert len(kept) == 18


def samples(labels) -> list[Sample]:
    return [Sample(f"{position}.png", label) for position, label in enumerate(labels)]


@given(LABELS, st.integers(0, 130))
def test_a_draw_is_even_and_without_repeats(labels, count) -> None:
    pool = samples(labels)
    drawn = draw_by_class(pool, count)
    assert len(drawn) == min(count, len(pool))
    assert len(set(drawn)) == len(drawn)
    assert set(drawn) <= set(pool)
    have, got = Counter(labels), Counter(sample.label for sample in drawn)
    assert draw_by_class(pool, count) == drawn
    short = [got[label] for label in have if got[label] < have[label]]
    if short and drawn:
        # Only a class that has run out of pictures gives fewer than the others, but for one round.
        assert max(got.values()) - min(short) <= 1


def test_labels_of_samples() -> None:
    found = labels_of(samples([3, 1, 2]))
    assert found.tolist() == [3, 1, 2]
    assert found.dtype == np.int64
