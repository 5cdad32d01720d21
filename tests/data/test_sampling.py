from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from longtailed import ZIPF

from edge_fgir.data.sampling import class_shares, draw

pytestmark = pytest.mark.unit

SAMPLERS = ("instance", "pairs", "class_balanced", "square_root")
LABELS = st.lists(st.integers(0, 6), min_size=1, max_size=120).map(np.array)


@pytest.mark.parametrize(
    ("sampler", "shares"),
    [
        ("instance", [0.75, 0.1875, 0, 0.0625]),
        ("class_balanced", [1 / 3, 1 / 3, 0, 1 / 3]),
        ("square_root", [12 / 22, 6 / 22, 0, np.sqrt(12) / 22]),
    ],
)
def test_shares_are_powers_of_the_class_sizes(sampler, shares) -> None:
    counts = np.array([144, 36, 0, 12])
    found = class_shares(counts, sampler)
    expected = np.array(shares)
    assert found == pytest.approx(expected / expected.sum())


@pytest.mark.parametrize("sampler", ["class_balanced", "square_root"])
def test_a_hundred_thousand_draws_have_the_frequencies_asked_for(sampler) -> None:
    labels = np.repeat(np.arange(len(ZIPF)), ZIPF)
    epochs = -(-(10**5) // len(labels))
    drawn = np.concatenate([labels[draw(labels, sampler, seed).places] for seed in range(epochs)])
    expected = class_shares(np.array(ZIPF), sampler)
    found = np.bincount(drawn, minlength=len(ZIPF)) / len(drawn)
    sigma = np.sqrt(expected * (1 - expected) / len(drawn))
    assert (np.abs(found - expected) < 3 * sigma).all()


@given(LABELS, st.sampled_from(SAMPLERS), st.integers(0, 2**63))
def test_an_epoch_gives_each_class_its_share_to_one_draw(labels, sampler, seed) -> None:
    places, _ = draw(labels, sampler, seed)
    assert len(places) == len(labels)
    sizes = np.bincount(labels)
    found = np.bincount(labels[places], minlength=len(sizes))
    assert (np.abs(found - class_shares(sizes, sampler) * len(labels)) < 1 + 1e-6).all()


@given(LABELS, st.sampled_from(SAMPLERS), st.integers(0, 2**63))
def test_a_class_is_gone_through_before_a_picture_repeats(labels, sampler, seed) -> None:
    places, repeats = draw(labels, sampler, seed)
    assert len({*zip(places.tolist(), repeats.tolist(), strict=True)}) == len(places)
    seen = np.bincount(places, minlength=len(labels))
    for label in np.unique(labels):
        own = seen[labels == label]
        assert own.max() - own.min() <= 1
    assert all(set(repeats[places == place]) == set(range(seen[place])) for place in set(places))


def test_the_instance_sampler_draws_each_picture_once() -> None:
    labels = np.repeat([0, 1, 2], [200, 50, 10])
    places, repeats = draw(labels, "instance", 4)
    assert sorted(places.tolist()) == list(range(260))
    assert not repeats.any()


@pytest.mark.parametrize("counts", [(200, 50, 10), (7, 0, 3, 5), (1, 1, 1)])
def test_pairs_are_of_a_class_as_far_as_they_can_be(counts: tuple[int, ...]) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    places, repeats = draw(labels, "pairs", 4)
    assert sorted(places.tolist()) == list(range(len(labels)))
    assert not repeats.any()
    whole = len(labels) - len(labels) % 2
    first, second = labels[places[:whole]].reshape(-1, 2).T
    assert (first == second).sum() == sum(count // 2 for count in counts)
    if len(labels) > 200:
        assert len(set(first[:20].tolist())) > 1
        assert (places != draw(labels, "pairs", 5).places).any()


def test_draws_depend_on_the_seed_alone_and_are_mixed() -> None:
    labels = np.repeat([0, 1, 2], [200, 50, 10])
    first, again, other = (draw(labels, "class_balanced", seed).places for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
    assert len(set(labels[first[:20]])) == 3


@pytest.fixture
def schedule():
    pytest.importorskip("torch")
    from edge_fgir.data.loaders import Schedule

    labels = tuple(np.repeat([0, 1, 2], [50, 12, 4]).tolist())
    return Schedule(images=66, batch=8, seed=3, sampler="class_balanced", labels=labels)


def test_an_epoch_is_balanced_and_new_each_time(schedule) -> None:
    epochs = [[key for keys in schedule.epoch(number) for key in keys] for number in (0, 0, 1)]
    assert epochs[0] == epochs[1] != epochs[2]
    counts = np.bincount([schedule.labels[key.place] for key in epochs[0]])
    assert counts.sum() == 64
    assert counts.max() - counts.min() <= 3


def test_a_picture_drawn_again_is_augmented_anew(schedule) -> None:
    for number in range(3):
        keys = [key for keys in schedule.epoch(number) for key in keys]
        assert len(set(keys)) == len(keys)
        assert {key.variant for key in keys} > {number}
    keys = [key for number in range(3) for keys in schedule.epoch(number) for key in keys]
    assert len(set(keys)) == len(keys)


def test_with_a_teacher_cache_all_draws_of_an_epoch_are_of_its_variant(schedule) -> None:
    cached = replace(schedule, variants=2)
    assert [
        {key.variant for keys in cached.epoch(number) for key in keys} for number in range(3)
    ] == [{0}, {1}, {0}]


def test_processes_share_every_balanced_batch(schedule) -> None:
    for shards in ((), (30, 36)):
        whole = replace(schedule, shards=shards).epoch(1)
        parts = [
            replace(schedule, rank=rank, processes=2, shards=shards).epoch(1) for rank in (0, 1)
        ]
        assert [a + b for a, b in zip(*parts, strict=True)] == whole
