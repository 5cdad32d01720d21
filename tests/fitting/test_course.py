"""What is trained, in which order and for how long, with trainings that are made up."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from edge_fgir.fitting import course as course_module
from edge_fgir.fitting.clock import Clock
from edge_fgir.fitting.course import Course
from edge_fgir.fitting.journal import Journal
from edge_fgir.fitting.networks import Architecture, Candidate
from edge_fgir.fitting.recipes import Recipes
from edge_fgir.fitting.shortlist import Considered
from edge_fgir.fitting.trainings import Trained
from edge_fgir.results import FitTraining, ProbedLatency, TopOne

pytestmark = pytest.mark.unit

IMAGES, VAL, CLASSES = 1600, 400, 4
SMALL = Architecture("tf_efficientnet_lite0", 224, "efficientnet-lite0")
LARGE = Architecture("tf_efficientnet_lite2", 260, "efficientnet-lite2")
OWN = Architecture("lrnet14", 128)
CAL = replace(SMALL, attention_maps=32)
STEP = {SMALL.title: 0.5, LARGE.title: 1.0, OWN.title: 0.4, CAL.title: 0.6}
"""Seconds."""


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class MadeUp:
    """Trainings whose accuracy and time are known beforehand; each takes its time on the clock."""

    time: Time
    start: dict[str, float]
    data: Any = field(default_factory=lambda: SimpleNamespace(classes=("a", "b", "c", "d")))
    by_macro: bool = False
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    teachers: list[str] = field(default_factory=list)
    starts: list[str] = field(default_factory=list)
    cost: dict[str, float] = field(default_factory=dict)
    slower: float = 1.0

    def run(self, candidate, recipe, stage, *, seconds=None, teacher="") -> Trained:
        name = candidate.architecture.title
        key = recipe.model_dump_json()
        known = key in self.cost
        steps = recipe.epochs * (IMAGES // recipe.batch_size)
        looks = 3 if recipe.method == "tgda" else 1
        cost = 40.0 if recipe.method == "probe" else self.slower * looks * steps * STEP[name]
        if not known:
            self.time.now += cost
            self.cost[key] = cost
            self.asked.append((name, stage, recipe.epochs))
            self.teachers.append(teacher)
            self.starts.append(recipe.model.weights)
        top1 = self.start[name] + min(recipe.epochs, 20) / 2
        labels = np.arange(VAL) % CLASSES
        said = np.where(np.arange(VAL) < VAL * top1 / 100, labels, (labels + 1) % CLASSES)
        record = FitTraining(
            stage=stage,
            method=recipe.method,
            teacher=teacher,
            image_size=candidate.image_size,
            epochs=recipe.epochs,
            steps=steps,
            seconds=cost,
            accuracy=TopOne(top1=top1, low=0, high=100),
            macro=top1,
            run=key[:8],
        )
        return MadeUpTrained(
            candidate, Path(name), record, 4.0 * np.eye(CLASSES)[said], labels, top1
        )


class MadeUpTrained(Trained):
    @property
    def weights(self) -> Path:
        return Path("weights.safetensors")


def considered(architecture: Architecture, size: int, *, fits: bool = True) -> Considered:
    latency = ProbedLatency(precision="int8", ms=2.0, fits=fits)
    return Considered(Candidate(architecture, size), (latency,))


def made(tmp_path: Path, minutes: float, monkeypatch, **start: float) -> tuple[Course, MadeUp]:
    time = Time()
    trainings = MadeUp(time, {"lrnet14": 20.0, **start})
    monkeypatch.setattr(
        course_module, "step_seconds", lambda candidate, *_: STEP[candidate.architecture.title]
    )
    clock = Clock(60 * minutes, tmp_path / "clock.json", time)
    journal = Journal(tmp_path / "journal.json")
    recipes = Recipes(IMAGES, balanced=False)
    return Course(trainings, recipes, journal, clock, 60.0, lambda line: None), trainings


def as_it_is(head: Trained) -> Candidate:
    return head.candidate


LITES = {"tf_efficientnet_lite0": 60.0, "tf_efficientnet_lite2": 70.0}
BOTH = [considered(SMALL, 160), considered(LARGE, 96), considered(OWN, 96)]


def test_the_best_gets_the_most_time_and_the_time_is_kept(tmp_path, monkeypatch) -> None:
    course, trainings = made(tmp_path, 60, monkeypatch, **LITES)
    best = course.run(BOTH, [SMALL, LARGE], as_it_is)
    assert best[0].candidate.architecture is LARGE
    candidates = [each.candidate for each in best]
    # The best of each, and then what else was trained.
    assert len(set(candidates[: len(course.done)])) == len(course.done)
    assert len(best) == sum(map(len, course.done.values()))
    finals = [each for each in trainings.asked if each[1] == "final"]
    assert [name for name, _, _ in finals] == ["tf_efficientnet_lite2"]
    halved = [each for each in trainings.asked if each[1] == "halving"]
    assert {name for name, _, _ in halved} >= {"tf_efficientnet_lite0", "tf_efficientnet_lite2"}
    assert finals[0][2] > max(epochs for name, _, epochs in halved if "lite2" in name)
    assert trainings.time.now <= 60 * 60 - course.reserve
    assert course.left_out[BOTH[2].candidate]


def test_a_head_that_would_end_too_late_is_not_trained(tmp_path, monkeypatch) -> None:
    course, trainings = made(tmp_path, 2.5, monkeypatch, **LITES)
    course.run(
        BOTH, [SMALL, LARGE], as_it_is
    )  # a head takes 40 s, two of them more than half the time
    assert [name for name, stage, _ in trainings.asked if stage == "probe"] == [SMALL.name]
    assert course.left_out[BOTH[1].candidate] == "no time was left for its head"


def test_a_killed_course_ends_as_it_would_have(tmp_path, monkeypatch) -> None:
    course, trainings = made(tmp_path, 60, monkeypatch, **LITES)
    course.run(BOTH, [SMALL, LARGE], as_it_is)
    asked = list(trainings.asked)
    again, _ = made(tmp_path, 60, monkeypatch, **LITES)
    again = replace(again, trainings=trainings)
    again.run(BOTH, [SMALL, LARGE], as_it_is)
    assert trainings.asked == asked


def test_a_slow_machine_still_keeps_the_time(tmp_path, monkeypatch) -> None:
    course, trainings = made(tmp_path, 60, monkeypatch, **LITES)
    trainings.slower = 2.0  # than the first steps said; after one training that is known
    course.run(BOTH, [SMALL, LARGE], as_it_is)
    assert trainings.time.now <= 60 * 60 * 1.1


SMALLER = Candidate(SMALL, 112)


def settle_smaller(head: Trained) -> Candidate:
    """Lite0 keeps the budget at 112 px only."""
    return SMALLER if head.candidate.architecture is SMALL else head.candidate


def test_minutes_are_spent_at_the_size_that_keeps_the_budget(tmp_path, monkeypatch) -> None:
    course, trainings = made(tmp_path, 60, monkeypatch, **LITES)
    best = course.run(BOTH, [SMALL, LARGE], settle_smaller)
    assert course.settled(Candidate(SMALL, 160)) == SMALLER
    assert course.settled(BOTH[1].candidate) == BOTH[1].candidate
    large, small = (course.done[Candidate(SMALL, size)] for size in (160, 112))
    assert [each.record.stage for each in large] == ["probe"]
    # Which network is the better at its own size is told by heads.
    assert [each.record.stage for each in small[:2]] == ["probe", "halving"]
    # What is too slow is no finalist.
    assert {each.candidate for each in best if each.candidate.architecture == SMALL} == {SMALLER}
    assert trainings.time.now <= 60 * 60 - course.reserve


def test_a_smaller_size_begins_with_the_head_of_the_larger_one(tmp_path, monkeypatch) -> None:
    course, trainings = made(tmp_path, 8, monkeypatch, **LITES)
    best, *_ = course.run([BOTH[0]], [], settle_smaller)
    assert best.candidate == SMALLER
    assert [stage for _, stage, _ in trainings.asked] == ["probe", "final"]
    assert trainings.starts[-1] == "weights.safetensors"


@pytest.mark.parametrize(
    ("minutes", "keeps", "size", "heads"),
    [(60, True, 176, 2), (60, False, 160, 2), (8, True, 176, 2), (5, True, 160, 1)],
)
def test_a_size_that_takes_less_than_was_predicted_may_be_a_larger_one(
    minutes: float, keeps: bool, size: int, heads: int, tmp_path: Path, monkeypatch
) -> None:
    """A head takes 40 s and its bundle 45; 160 px were predicted, 176 px may keep the budget."""
    course, trainings = made(tmp_path, minutes, monkeypatch, **LITES)
    candidate, larger = (Candidate(SMALL, size) for size in (160, 176))
    built: list[Candidate] = []

    def settle(head: Trained) -> Candidate:
        trainings.time.now += 45
        built.append(head.candidate)
        return larger if keeps or head.candidate == candidate else candidate

    best, *others = course.run([considered(SMALL, 160)], [], settle)
    assert course.settled(candidate).image_size == size
    # A larger size that was too slow is no finalist.
    assert {each.candidate.image_size for each in (best, *others)} == {size}
    assert built == [candidate, larger][:heads]
    assert trainings.time.now <= 60 * minutes - course.reserve


def test_a_resumed_course_keeps_its_sizes(tmp_path, monkeypatch) -> None:
    """A bundle that is measured again, or another one of its network, may be quicker then."""
    course, trainings = made(tmp_path, 60, monkeypatch, **LITES)
    course.run(BOTH, [SMALL, LARGE], settle_smaller)
    asked = list(trainings.asked)
    again = replace(made(tmp_path, 60, monkeypatch, **LITES)[0], trainings=trainings)
    again.run(BOTH, [SMALL, LARGE], lambda head: replace(head.candidate, image_size=208))
    assert trainings.asked == asked
    assert again.sizes == course.sizes


def test_a_head_that_was_too_slow_is_what_a_finalist_is_made_of_without_time(
    tmp_path, monkeypatch
) -> None:
    course, trainings = made(tmp_path, 3, monkeypatch, **LITES)  # an epoch takes 50 s

    def settle(head: Trained) -> Candidate:
        trainings.time.now += 75
        return settle_smaller(head)

    (best,) = course.run([BOTH[0]], [], settle)
    assert best.candidate == BOTH[0].candidate
    assert best.record.method == "probe"


@pytest.mark.parametrize(
    ("too_slow", "minutes"),
    list(product([(), (LARGE,), (SMALL, LARGE)], [8, 12, 40])),
)
def test_time_for_learning_is_kept_while_sizes_are_looked_for(
    too_slow: tuple[Architecture, ...],
    minutes: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each bundle takes 75 s."""
    course, trainings = made(tmp_path, minutes, monkeypatch, **LITES)

    def settle(head: Trained) -> Candidate:
        trainings.time.now += 75
        slow = head.candidate.architecture in too_slow
        return replace(head.candidate, image_size=64) if slow else head.candidate

    best, *_ = course.run(BOTH, [], settle)
    learned = sum(cost for key, cost in trainings.cost.items() if '"method":"probe"' not in key)
    assert learned + 100 >= 0.3 * 60 * minutes  # but for a part of an epoch
    assert best.record.stage == "final"


@pytest.mark.parametrize("minutes", [4.2, 5, 6, 8, 12])
def test_however_many_candidates_the_best_is_trained_where_an_epoch_fits(
    minutes: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    course, trainings = made(tmp_path, minutes, monkeypatch, **LITES)  # 100 s an epoch
    course.run(BOTH, [], as_it_is)
    finals = [each for each in trainings.asked if each[1] == "final"]
    assert [name for name, _, _ in finals] == [LARGE.name]
    assert trainings.time.now <= 60 * minutes


@pytest.mark.parametrize(("closing", "epochs"), [(60.0, 0), (20.0, 1), (45.0, 0)])
def test_what_is_kept_for_more_finalists_goes_to_an_epoch_that_would_not_fit(
    closing: float, epochs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head takes 40 s and an epoch 50 s; a minute is kept."""
    course, trainings = made(tmp_path, 2.0, monkeypatch, **LITES)
    course.closing = closing
    course.run([BOTH[0]], [], as_it_is)
    asked = [each for each in trainings.asked if each[1] == "final"]
    assert asked == [(SMALL.name, "final", 1)] * epochs
    assert trainings.time.now <= 120 - closing


@pytest.mark.parametrize(
    ("others", "behind", "spared"),
    [
        ([], 0.0, True),  # nothing else is trained
        ([LARGE], 20.0, True),
        ([LARGE], 3.0, False),  # which INT8 may turn round
        ([OWN], 50.0, False),  # it starts otherwise
    ],
)
def test_what_has_no_rival_learns_while_others_would_be_built(
    others: list[Architecture],
    behind: float,
    spared: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Five minutes are kept for three finalists, one of which takes a minute."""
    start = {SMALL.title: 70.0, **{each.title: 70.0 - behind for each in others}}
    course, trainings = made(tmp_path, 30, monkeypatch, **start)
    course.reserve, course.closing = 300.0, 60.0
    course.run([considered(each, 96) for each in (SMALL, *others)], [], as_it_is)
    left = 30 * 60 - trainings.time.now
    assert (left < 300 - 50) == spared
    assert left >= 60


@pytest.mark.parametrize(
    ("candidates", "minutes", "trained"),
    [
        (BOTH, 25, False),
        (BOTH, 30, True),
        (BOTH[2:], 9, False),
        (BOTH[2:], 12, True),
    ],
)
def test_a_teacher_whose_head_takes_its_time_is_not_trained(
    candidates: list[Considered],
    minutes: float,
    trained: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A head takes 40 s at 96 px, so 284 s at 256 px; a teacher has a fifth of the time.

    Where no head was trained, it takes an epoch, which is 100 s.
    """
    course, trainings = made(tmp_path, minutes, monkeypatch, **LITES)
    course.run(candidates, [SMALL, LARGE], as_it_is)
    assert ("teacher" in {stage for _, stage, _ in trainings.asked}) == trained


def test_a_teacher_whose_head_took_longer_than_all_of_its_time_is_that_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    course, trainings = made(tmp_path, 12, monkeypatch, **LITES)
    monkeypatch.setattr(course_module, "step_seconds", lambda *_: 0.01)  # a head takes 40 s
    monkeypatch.setattr(course_module, "_TEACHING", 0.03)
    course.run(BOTH[2:], [LARGE], as_it_is)
    asked = [epochs for _, stage, epochs in trainings.asked if stage == "teacher"]
    assert len(asked) == 1
    assert course.teacher is not None
    assert course.teacher.record.method == "probe"


@pytest.mark.parametrize(("step", "taught"), [(4.0, True), (6.5, False)])
def test_what_has_no_time_for_a_teachers_labels_learns_from_those_of_the_pictures(
    step: float, taught: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten minutes are left; asking takes one of them, and an epoch of TGDA a hundred steps."""
    course, trainings = made(tmp_path, 12, monkeypatch, **LITES)

    def step_seconds(candidate: Candidate, classes: int, batch: int, method: str, _: str) -> float:
        return step if method == "tgda" else STEP[candidate.architecture.title]

    monkeypatch.setattr(course_module, "step_seconds", step_seconds)
    best, *_ = course.run(BOTH[2:], [LARGE], as_it_is)
    assert best.record.method == ("tgda" if taught else "ce")
    assert bool(best.record.teacher) == taught
    assert trainings.asked[-1][1] == "final"


def test_where_a_round_has_no_time_for_an_epoch_the_next_one_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Timing steps takes a minute each, of which the plan of two rounds knew nothing."""
    course, trainings = made(tmp_path, 3.9, monkeypatch, lrnet14d=20.0)

    def step_seconds(*_: object) -> float:
        trainings.time.now += 60
        return 0.4

    monkeypatch.setattr(course_module, "step_seconds", step_seconds)
    other = considered(replace(OWN, name="lrnet14d"), 96)
    best, *_ = course.run([BOTH[2], other], [], as_it_is)
    assert trainings.asked == [(OWN.name, "final", 1)]
    assert course.left_out == {other.candidate: "an epoch takes longer than the time that is left"}
    assert best.candidate == BOTH[2].candidate


def test_without_time_for_trainings_nothing_is_built_before_them(tmp_path, monkeypatch) -> None:
    course, _ = made(tmp_path, 1.5, monkeypatch, **LITES)  # of which exports get a minute
    monkeypatch.setattr(course_module, "step_seconds", lambda *_: pytest.fail("steps were timed"))
    (best, *_) = course.run(BOTH, [SMALL, LARGE], lambda *_: pytest.fail("it was built"))
    assert course.sizes == {}
    assert best.record.method == "probe"
    assert course.left_out[best.candidate] == "no time was left to train it"


def test_networks_from_scratch_learn_from_the_best_head(tmp_path, monkeypatch) -> None:
    course, trainings = made(tmp_path, 60, monkeypatch, **LITES)
    course.run([BOTH[2]], [SMALL, LARGE], as_it_is)
    assert course.teacher is not None
    assert course.teacher.candidate.architecture is LARGE
    own = [
        t
        for (name, _, _), t in zip(trainings.asked, trainings.teachers, strict=True)
        if name == "lrnet14"
    ]
    assert own[-1] == "tf_efficientnet_lite2 at 256 px"


def test_in_little_time_no_teacher_is_trained_beside(tmp_path, monkeypatch) -> None:
    course, trainings = made(tmp_path, 6, monkeypatch, **LITES)
    course.run(BOTH, [SMALL, LARGE], as_it_is)
    assert "teacher" not in {stage for _, stage, _ in trainings.asked}
    assert trainings.time.now <= 6 * 60


@pytest.mark.parametrize("sides", [SMALL.sides, (96, 208)])
def test_a_teacher_that_sees_no_more_is_not_trained(
    sides: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where pictures come in at one size, candidates have fewer sides than a teacher."""
    course, trainings = made(tmp_path, 60, monkeypatch, **LITES)
    course.run([considered(replace(SMALL, sides=sides), 208), BOTH[2]], [SMALL], as_it_is)
    assert "teacher" not in {stage for _, stage, _ in trainings.asked}
    assert course.teacher is not None
    assert course.teacher.candidate.image_size == 208


def test_a_teacher_is_a_candidate_beside_heads_and_an_own_network(tmp_path, monkeypatch) -> None:
    course, trainings = made(tmp_path, 60, monkeypatch, **LITES, **{CAL.title: 75.0})
    best = course.run([*BOTH, considered(CAL, 128)], [SMALL, LARGE, CAL], as_it_is)
    assert best[0].candidate.architecture is CAL
    assert {best[0].record.method, best[0].record.teacher} == {"cal", ""}
    asked = [stage for name, stage, _ in trainings.asked if name == CAL.title]
    assert asked == ["halving", "halving", "final"]
    assert {name for name, stage, _ in trainings.asked if stage == "halving"} == set(STEP)


def test_what_does_not_fit_is_never_trained(tmp_path, monkeypatch) -> None:
    course, trainings = made(tmp_path, 20, monkeypatch, **LITES)
    course.run([considered(SMALL, 64, fits=False), BOTH[2]], [], as_it_is)
    assert {name for name, _, _ in trainings.asked} == {"lrnet14"}
