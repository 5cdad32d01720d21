"""Verdicts on models whose accuracy is known, as everything about the pictures is."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from edge_fgir.evaluation import Answers, Views, compare_answers, compare_models
from edge_fgir.results import Verdict

pytestmark = pytest.mark.unit

CLASSES = 20
Floats = np.ndarray
Spoil = Callable[[Floats, np.random.Generator], Floats]


@dataclass(frozen=True)
class World:
    """Pictures of which a model's logits hold all there is to know, too sure of itself."""

    logits: Floats
    labels: np.ndarray

    @classmethod
    def of(cls, pictures: int, seed: int = 0) -> "World":
        rng = np.random.default_rng(seed)
        evidence = 1.5 * rng.normal(size=(pictures, CLASSES))
        evidence[np.arange(pictures), rng.integers(0, CLASSES, pictures)] += 7
        shares = np.exp(evidence)
        edges = np.cumsum(shares / shares.sum(axis=1, keepdims=True), axis=1)
        labels = (edges > rng.random((pictures, 1))).argmax(axis=1)
        return cls(1.6 * evidence, labels)

    def drop(self, candidate: Floats) -> float:
        right = [(each.argmax(axis=1) == self.labels).mean() for each in (self.logits, candidate)]
        return 100 * float(right[0] - right[1])

    def verdict(self, candidate: Floats, chosen: np.ndarray, shown: int, bound: float) -> Verdict:
        """Compare on the first chosen pictures, and on ``shown`` times as many without labels."""
        count = len(chosen) // (1 + shown)
        labelled, others = chosen[:count], chosen[count:]
        views = Views(self.logits[others], candidate[others], np.arange(count * shown) % count)
        return compare_models(
            self.logits[labelled],
            candidate[labelled],
            self.labels[labelled],
            bound,
            views=views if shown else None,
        )


@pytest.fixture(scope="module")
def world() -> World:
    return World.of(20_000)


def noisy(level: float) -> Spoil:
    return lambda logits, rng: logits + level * rng.normal(size=logits.shape)


def a_class_lost(logits: Floats, rng: np.random.Generator) -> Floats:
    return logits - 50 * (np.arange(CLASSES) < 2)


def permuted(logits: Floats, rng: np.random.Generator) -> Floats:
    return np.roll(logits, 1, axis=1)


def rarely_at_random(logits: Floats, rng: np.random.Generator) -> Floats:
    hit = rng.random(len(logits)) < 0.02
    return np.where(hit[:, None], 10 * rng.normal(size=logits.shape), logits)


@pytest.mark.parametrize("spoil", [noisy(0.5), noisy(1.5), noisy(4), a_class_lost])
@pytest.mark.parametrize(("labelled", "shown"), [(100, 0), (100, 4), (400, 0)])
def test_the_interval_holds_the_true_drop(
    world: World, spoil: Spoil, labelled: int, shown: int
) -> None:
    rng = np.random.default_rng(1)
    candidate = spoil(world.logits, rng)
    truth = world.drop(candidate)
    covered = 0
    for _ in range(60):
        chosen = rng.choice(len(world.labels), labelled * (1 + shown), replace=False)
        low, high = world.verdict(candidate, chosen, shown, 1.0).interval
        covered += low <= truth <= high
    assert covered >= 0.9 * 60


def test_expected_costs_say_more_than_counted_flips(world: World) -> None:
    rng = np.random.default_rng(2)
    candidate = noisy(1.0)(world.logits, rng)
    drops, counted = [], []
    for _ in range(60):
        chosen = rng.choice(len(world.labels), 300, replace=False)
        drops.append(world.verdict(candidate, chosen, 0, 1.0).drop)
        counted.append(World(world.logits[chosen], world.labels[chosen]).drop(candidate[chosen]))
    assert np.mean(drops) == pytest.approx(world.drop(candidate), abs=0.3)
    assert np.std(drops) < 0.5 * np.std(counted)


@pytest.mark.parametrize("spoil", [permuted, noisy(8), a_class_lost])
def test_gross_faults_are_refused_on_few_pictures(world: World, spoil: Spoil) -> None:
    rng = np.random.default_rng(3)
    candidate = spoil(world.logits, rng)
    for _ in range(40):
        chosen = rng.choice(len(world.labels), 5 * 120, replace=False)
        assert world.verdict(candidate, chosen, 4, 0.5).state == "refused"


def test_rare_failures_are_seen_on_many_pictures(world: World) -> None:
    rng = np.random.default_rng(4)
    candidate = rarely_at_random(world.logits, rng)
    chosen = rng.choice(len(world.labels), 5 * 1000, replace=False)
    verdict = world.verdict(candidate, chosen, 4, 0.5)
    assert (verdict.state, verdict.images, verdict.views) == ("refused", 1000, 4000)
    assert verdict.drop == pytest.approx(world.drop(candidate), abs=0.6)


def test_equal_models_are_certified_by_enough_pictures_and_no_fewer(world: World) -> None:
    few = world.verdict(world.logits, np.arange(400), 0, 0.2)
    assert (few.drop, few.state) == (0.0, "undecided")
    assert few.interval == pytest.approx((-0.49, 0.49))
    assert world.verdict(world.logits, np.arange(2000), 4, 0.2).state == "certified"


@pytest.mark.parametrize("pictures", [1, 20, 100])
def test_views_of_few_pictures_certify_nothing(world: World, pictures: int) -> None:
    verdict = world.verdict(world.logits, np.arange(pictures * 61), 60, 0.2)
    assert verdict.views == 60 * pictures
    assert verdict.state == "undecided"
    assert verdict.interval[1] >= 196 / (4 * pictures) - 1e-9


@pytest.mark.parametrize("pictures", [1, 5, 50])
@pytest.mark.parametrize("scale", [0.0, 30.0, 300.0])
def test_answers_may_be_as_sure_as_floats_allow(pictures: int, scale: float) -> None:
    labels = np.arange(pictures) % 5
    logits = scale * np.eye(5)[labels]
    verdict = compare_models(logits, logits, labels, 0.2)
    assert verdict.drop == 0
    spoiled = compare_models(logits, np.roll(logits, 1, axis=1), labels, 0.2)
    assert np.isfinite(spoiled.interval).all()
    if scale and pictures == 50:
        assert spoiled.state == "refused"


def test_flips_between_classes_that_were_a_draw_cost_nothing(world: World) -> None:
    best = np.sort(world.logits, axis=1)[:, -2:]
    drawn = world.logits[best[:, 1] - best[:, 0] < 0.25][:60]
    candidate = drawn.copy()
    first, second = np.argsort(drawn, axis=1)[:, [-1, -2]].T
    assert len(first) == 60
    candidate[np.arange(60), second] = drawn[np.arange(60), first] + 0.01
    rest = world.logits[:3000]
    verdict = compare_models(
        np.concatenate([drawn, rest]),
        np.concatenate([candidate, rest]),
        np.concatenate([second[:30], first[30:], world.labels[:3000]]),
        0.5,
    )
    assert verdict.state == "certified"  # 2 % of the labels disagree


def test_a_drop_is_about_the_pictures_asked_for(world: World) -> None:
    rare = world.labels < 3
    candidate = world.logits - 50 * (np.arange(CLASSES) < 3)
    some = slice(0, 1500)
    logits, labels, spoiled, among = (
        each[some] for each in (world.logits, world.labels, candidate, rare)
    )
    verdict = compare_models(logits, spoiled, labels, 2.0, among=among)
    assert verdict.images == among.sum()
    right = (logits.argmax(axis=1) == labels)[among].mean()
    assert verdict.drop == pytest.approx(100 * right, abs=8)
    others = compare_models(logits, spoiled, labels, 2.0, among=~among)
    assert others.drop < 5


def test_another_model_that_knows_as_much_is_not_refused(world: World) -> None:
    rng = np.random.default_rng(5)
    one, other = (noisy(3)(world.logits, rng) for _ in range(2))
    states = []
    for _ in range(40):
        chosen = rng.choice(len(world.labels), 300, replace=False)
        answers = (
            Answers(softmax(each[chosen]), world.labels[chosen], ()) for each in (one, other)
        )
        states.append(compare_answers(*answers).state)
    assert states.count("refused") <= 3


def test_another_model_that_knows_less_is_refused(world: World) -> None:
    rng = np.random.default_rng(6)
    one, other = (noisy(level)(world.logits, rng) for level in (1.0, 4.0))
    refused = 0
    for _ in range(20):
        chosen = rng.choice(len(world.labels), 500, replace=False)
        truth = world.labels[chosen]
        better, worse = (Answers(softmax(each[chosen]), truth, ()) for each in (one, other))
        refused += compare_answers(better, worse).state == "refused"
        assert compare_answers(worse, better).state != "refused"
    assert refused >= 19


def softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
