from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_fgir.data.fair_split import fair_split
from edge_fgir.data.likeness import BYTES, alike, groups_alike

pytestmark = pytest.mark.unit


def hashes_of(count: int, seed: int = 0) -> np.ndarray:
    """Return random hashes, which are all far from each other."""
    return np.random.default_rng(seed).integers(0, 256, (count, BYTES), dtype=np.uint8)


def flipped(look: np.ndarray, bits: int) -> np.ndarray:
    """Return a hash that differs in so many bits."""
    changed = np.unpackbits(look)
    changed[:bits] ^= 1
    return np.packbits(changed)


def names_of(count: int) -> list[str]:
    return [f"bird/{place}.jpg" for place in range(count)]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=120))
def test_every_picture_is_in_one_split_and_every_class_is_learned(labels) -> None:
    count = len(labels)
    split = fair_split(names_of(count), labels, hashes_of(count))
    assert sorted(split.train + split.val + split.test) == list(range(count))
    for label in set(labels):
        members = labels.count(label)
        parts = [sum(labels[place] == label for place in part) for part in split[:3]]
        assert parts[0] >= max(1, members / 2)
        assert parts[1] == (max(1, round(0.15 * members)) if members > 1 else 0)
        assert parts[2] == (max(1, round(0.15 * members)) if members > 3 else 0)


@settings(max_examples=25)
@given(st.integers(0, 1000), st.integers(1, 8))
def test_look_alikes_are_on_one_side(seed, distance) -> None:
    looks = np.repeat(hashes_of(40, seed), 3, axis=0)
    looks[1::3] = [flipped(look, distance) for look in looks[1::3]]
    order = np.random.default_rng(seed).permutation(120)
    split = fair_split(names_of(120), (order // 3 % 2).tolist(), looks[order])
    side = {place: part for part, places in enumerate(split[:3]) for place in places}
    by_bird: dict[int, set[int]] = {}
    for place, bird in enumerate((order // 3).tolist()):
        by_bird.setdefault(bird, set()).add(side[place])
    assert all(len(sides) == 1 for sides in by_bird.values())
    assert split.together == 80
    assert len(split.val) >= 12
    assert len(split.test) >= 12


def test_pictures_that_are_added_move_few_of_the_others() -> None:
    names = names_of(1100)
    looks, labels = hashes_of(1100), [place % 2 for place in range(1100)]
    before = fair_split(names[:1000], labels[:1000], looks[:1000])
    after = fair_split(names, labels, looks)
    moved = sum(len(set(old) - set(new)) for old, new in zip(before[:3], after[:3], strict=True))
    assert moved <= 20
    # The order of the files is nothing that counts.
    turned = fair_split(names[999::-1], labels[999::-1], looks[999::-1])
    assert sorted(999 - place for place in turned.val) == before.val


def test_one_picture_under_two_classes_stays_in_train() -> None:
    looks = hashes_of(40)
    looks[20:25] = looks[:5]
    split = fair_split(names_of(40), [0] * 20 + [1] * 20, looks)
    assert {*range(5), *range(20, 25)} <= set(split.train)
    assert (len(split.val), len(split.test)) == (6, 6)


def test_a_class_of_copies_is_never_torn() -> None:
    looks = hashes_of(30)
    looks[:12] = looks[0]
    split = fair_split(names_of(30), [0] * 12 + [1] * 18, looks)
    assert set(range(12)) <= set(split.train)
    assert split.too_alike == (0,)


def test_where_all_looks_alike_only_nearer_copies_count() -> None:
    one = hashes_of(1)[0]
    chain = np.stack([flipped(one, bits) for bits in range(40)])  # a bit from each to the next
    far = hashes_of(40, 1)
    split = fair_split(names_of(80), [0] * 40 + [1] * 40, np.concatenate([chain, far]))
    assert split.too_alike == (0,)
    assert [len([place for place in part if place < 40]) for part in split[:3]] == [28, 6, 6]


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(0, 15))
def test_groups_are_what_pairs_connect(seed, distance) -> None:
    random = np.random.default_rng(seed)
    looks = hashes_of(12, seed)[random.integers(0, 12, 60)]
    looks = np.stack([flipped(look, int(random.integers(0, 12))) for look in looks])
    groups = groups_alike(looks, distance)
    sets = [{place} for place in range(60)]
    distances = np.unpackbits(looks[:, None] ^ looks[None], axis=2).sum(axis=2)
    for _ in range(60):
        for first, second in np.argwhere(distances <= distance).tolist():
            sets[first] |= sets[second]
    assert all(
        (groups[first] == groups[second]) == (second in sets[first])
        for first in range(60)
        for second in range(60)
    )


def test_more_groups_than_a_byte_counts() -> None:
    looks = hashes_of(600)
    looks[599] = looks[0]
    assert alike(looks, np.arange(600), 4) == [(0, 599)]
