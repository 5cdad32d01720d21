"""The trainings of a fit in order: heads on frozen features, a teacher, successive halving."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from edge_fgir.fitting.clock import Clock
from edge_fgir.fitting.halving import epochs_within, rungs
from edge_fgir.fitting.journal import Journal
from edge_fgir.fitting.judging import Judge
from edge_fgir.fitting.networks import Architecture, Candidate
from edge_fgir.fitting.pace import step_seconds
from edge_fgir.fitting.recipes import Guide, Recipes
from edge_fgir.fitting.shortlist import Considered
from edge_fgir.fitting.teacher import head_seconds, is_larger, largest
from edge_fgir.fitting.trainings import Trained, Trainings
from edge_fgir.results import FitStage

_MOST_ARMS = 4
_TEACHING = 0.2
"""Share of the time for the teacher's own training."""
_TEACHER_MINUTES = 8.0
"""With less time for all trainings no teacher is trained beside the candidates."""
_PROBING = 0.5
"""Share of the time within which heads are trained, but for the first."""
_LEARNING = 0.3
"""Share of the time that is kept for trainings while more candidates' sizes are looked for."""
_ASKING = 1 / 3
"""Share of a training's time that asking the teacher may take."""
_LEAST_SECONDS = 20.0
"""A training of less says nothing, unless all of the time is little."""
_ENOUGH = 40
"""Epochs after which a pretrained network has learned what there is to learn."""
_ENOUGH_FROM_SCRATCH = 400
_FAR = 5.0
"""Points by which one training is beyond another, so that INT8, which may cost a few, changes
nothing."""
_NOTHING = "more accurate ones took the time"

Settle = Callable[[Trained], Candidate]
"""Builds a head and returns its candidate at the size that will keep the budget."""


@dataclass
class Course:
    """What is trained, in which order, and for how long.

    Attributes:
        trainings: Trains.
        recipes: By role.
        journal: Remembers what follows from measured times.
        clock: The time.
        reserve: Seconds that are kept for exports and measurements.
        tell: Gets a line for the user.
        done: Every training by candidate, in order.
        left_out: Why a candidate went no further.
        teacher: The teacher; None without one.
        sizes: What a candidate became when its head was built: itself, or another size.
        closing: Seconds of the reserve that one finalist takes.
    """

    trainings: Trainings
    recipes: Recipes
    journal: Journal
    clock: Clock
    reserve: float
    tell: Callable[[str], None]
    done: dict[Candidate, list[Trained]] = field(default_factory=dict)
    left_out: dict[Candidate, str] = field(default_factory=dict)
    teacher: Trained | None = None
    sizes: dict[Candidate, Candidate] = field(default_factory=dict)
    closing: float = math.inf

    @property
    def judge(self) -> Judge:
        """Compares trainings."""
        return Judge(self.trainings.by_macro)

    @property
    def left(self) -> float:
        """Seconds that are left for trainings."""
        return max(self.clock.left - self.reserve, 0.0)

    def settled(self, candidate: Candidate) -> Candidate:
        """Return a candidate at the size that it is trained at."""
        return self.sizes.get(candidate, candidate)

    def run(
        self,
        considered: Sequence[Considered],
        architectures: Sequence[Architecture],
        settle: Settle,
    ) -> list[Trained]:
        """Train, and return the trainings: first the best of each candidate, the best candidate
        first, then the others, in case the gates refuse those, and last what turned out too slow.

        Args:
            considered: All candidates; those that fit are trained.
            architectures: All architectures, of which the teacher is one.
            settle: Finds the size at which a candidate keeps the budget.
        """
        fitting = [each.candidate for each in considered if each.fits]
        headed = [each for each in fitting if each.architecture.has_head]
        cal = [each for each in fitting if each.architecture.attention_maps][:1]
        own = [each for each in fitting if not each.architecture.is_pretrained]
        with self.clock.step("heads on frozen features"):
            for candidate in headed:
                self._probe(candidate)
        probed = self._ordered([each for each in headed if each in self.done])
        room = _MOST_ARMS - len(cal)
        most = room - min(len(own), 1 if probed else room)
        for each in probed[most:]:
            self.left_out[each] = "less accurate with a head on frozen features"
        with self.clock.step("sizes, by heads that are built"):
            self._settle_all(probed[:most], settle)
        arms = self._ordered([self.settled(each) for each in probed[:most]])
        self._teach([each for each in architectures if each.has_head], arms)
        chosen = [*arms, *cal, *own[: room - len(arms)]]
        for each in own:
            if each not in chosen:
                self.left_out[each] = _NOTHING
        self._halve(chosen)
        settled = dict.fromkeys(self.settled(each) for each in self.done)
        kept = [self._trained(each) for each in settled]
        best = self.judge.ordered([self.judge.best(trained) for trained in kept])
        taken = {id(each) for each in best}
        others = [each for trained in kept for each in trained if id(each) not in taken]
        return [*best, *self.judge.ordered(others)]

    def _trained(self, candidate: Candidate) -> list[Trained]:
        """Return the trainings of a candidate; while there are none, those of what became it."""
        own = self.done.get(candidate)
        if own:
            return own
        larger = [each for each, settled in self.sizes.items() if settled == candidate]
        return [trained for each in larger for trained in self.done.get(each, [])]

    def _probe(self, candidate: Candidate) -> None:
        """Train a head, if there is time for one that takes as long as those before."""
        ahead = max((heads[0].record.seconds for heads in self.done.values()), default=0.0)
        late = self.clock.spent + ahead > _PROBING * self.clock.seconds
        if self.done and self.journal.number(f"no head of {candidate.name}", partial(float, late)):
            self.left_out[candidate] = "no time was left for its head"
            return
        self.probe(candidate)

    def _settle_all(self, arms: Sequence[Candidate], settle: Settle) -> None:
        """Find the sizes at which candidates are trained, while there is time.

        Another size gets a head of its own where that tells which candidate is the best; else its
        training begins with the one of the size that was predicted.
        """
        longest = 0.0

        def has_time(what: str, seconds: float, *, needed: bool = False) -> bool:
            left = self.left - seconds
            late = not self.left if needed else left < _LEARNING * self.clock.seconds
            return not self.journal.number(f"no {what}", partial(float, late))

        for number, candidate in enumerate(arms):
            # Something has to be built, if there is time for a training at all.
            if not has_time(f"size of {candidate.name}", longest, needed=not number):
                continue  # as large as it was predicted
            began = self.clock.spent
            head = self.judge.best(self.done[candidate])
            settled = self._settled(head, settle)
            longest = max(longest, self.clock.spent - began)
            if settled.image_size > candidate.image_size:
                # Whether it keeps the budget is known when it is built as well.
                again = longest + head.record.seconds
                if has_time(f"larger size of {candidate.name}", again):
                    larger = settled
                    found = self._settled(self.probe(larger), settle)
                    settled = min(larger, found, key=lambda each: each.image_size)
                    self.sizes[larger] = settled  # too slow, it is no candidate of its own
                else:
                    settled = candidate
            self.sizes[candidate] = settled
        for candidate in arms:
            settled = self.settled(candidate)
            if settled == candidate or settled in self.done or len(arms) == 1:
                continue
            if has_time(f"head of {settled.name}", self.done[candidate][0].record.seconds):
                self.probe(settled)

    def _settled(self, head: Trained, settle: Settle) -> Candidate:
        """Return the size that a head points to; in a resumed fit the one that it pointed to."""
        found = settle(head)
        pointed = partial(float, found.image_size)
        size = self.journal.number(f"size by the head of {head.candidate.name}", pointed)
        return replace(found, image_size=int(size))

    def probe(self, candidate: Candidate, start: Path | None = None) -> Trained:
        """Train a head on a candidate's frozen features.

        Args:
            candidate: What it is for.
            start: Weights of its network that were trained at another size; None: its own.
        """
        self._say(f"{candidate.name}: a head on frozen features")
        trained = self.trainings.run(candidate, self.recipes.probe(candidate, start), "probe")
        self.done.setdefault(candidate, []).append(trained)
        self._say(f"{candidate.name}: {_accuracy(trained)} with frozen features")
        return trained

    def _teach(self, architectures: Sequence[Architecture], arms: Sequence[Candidate]) -> None:
        """Fine-tune the largest pretrained network at its own size, if that is worth its time.

        Else the best candidate with frozen features is the teacher of those from scratch.
        """
        probed = [trained for each in arms for trained in self._trained(each)]
        self.teacher = self.judge.best(probed) if probed else None
        time = self.journal.number("time to teach", lambda: self.left)
        candidate = largest(architectures)
        if candidate is None or time < 60 * _TEACHER_MINUTES or not is_larger(candidate, arms):
            return
        seconds = self.journal.number("teacher's seconds", lambda: _TEACHING * self.left)
        if self._head_seconds(candidate, probed) > seconds:
            return
        with self.clock.step("teacher", seconds):
            recipe = self.recipes.probe(candidate)
            start = self.trainings.run(candidate, recipe, "teacher")
            self.teacher = start
            epochs = self._epochs("teacher", candidate, "ce", seconds - start.record.seconds)
            if epochs:
                self._say(f"teacher {candidate.name}: {epochs} epochs")
                recipe = self.recipes.training(candidate, epochs, start=start.weights, guide=None)
                tuned = self.trainings.run(candidate, recipe, "teacher", seconds=seconds)
                self.teacher = self.judge.best([tuned, start])
        self._say(f"teacher {candidate.name}: {_accuracy(self.teacher)}")

    def _head_seconds(self, candidate: Candidate, heads: Sequence[Trained]) -> float:
        """Return what a head takes, by those that were trained.

        Without any, by an epoch on noise: that takes longer than the two looks at each picture that
        a head is made of, as its arithmetic does.
        """
        if heads:
            return head_seconds(candidate, heads)
        return self._pace(candidate, "probe") * self.recipes.steps_per_epoch

    def _halve(self, arms: Sequence[Candidate]) -> None:
        if self.journal.number("no second finalist", lambda: float(self._needs_reserve(arms))):
            self.reserve = self.closing
        total = self.journal.number("seconds to train", lambda: self.left)
        if not total:
            self.left_out |= dict.fromkeys(arms, "no time was left to train it")
            return
        least = self.journal.number("least seconds", lambda: self._least_seconds(arms, total))
        plan = rungs(len(arms), total, least)
        ahead = sum(rung.arms * rung.seconds for rung in plan)
        alive = list(arms)
        for number, rung in enumerate(plan):
            last = number == len(plan) - 1
            for each in alive[rung.arms :]:
                why = "less accurate after equally much time" if number else _NOTHING
                self.left_out.setdefault(each, why)
            alive = alive[: rung.arms]
            if last and self._has_no_rival(alive[0]):
                self.reserve = min(self.reserve, self.closing)
            for candidate in alive:
                key = f"rung {number}, {candidate.name}"
                share = self.left * rung.seconds / max(ahead, 1e-9)
                seconds = self.journal.number(f"{key}: seconds", partial(float, share))
                ahead -= rung.seconds
                self._train(key, candidate, seconds, "final" if last else "halving")
            # Where an epoch of none fitted, the next round has more time for each.
            alive = self._ordered([each for each in alive if self._trained(each)]) or alive
        for each in arms:
            if each not in alive:
                self.left_out.setdefault(each, _NOTHING)

    def _needs_reserve(self, arms: Sequence[Candidate]) -> bool:
        """Say whether an epoch of the most promising candidate fits only into what is kept for
        further finalists, which it is worth more than."""
        has_spare = self.closing < min(self.reserve, self.clock.left)
        return bool(arms) and has_spare and self.left < self._epoch_seconds(arms[0])

    def _has_no_rival(self, candidate: Candidate) -> bool:
        """Say whether nothing else that was trained need be built beside a candidate.

        The others are so far behind that no export makes one the best, and start as it does: what
        starts otherwise has a place of its own on the page.
        """
        others = {self.settled(each) for each in self.done} - {candidate}
        own = self._trained(candidate)
        return not others or (
            bool(own)
            and all(
                each.architecture.is_pretrained == candidate.architecture.is_pretrained
                and self.judge.lead(self.judge.best(own), self.judge.best(self._trained(each)))
                > _FAR
                for each in others
            )
        )

    def _least_seconds(self, arms: Sequence[Candidate], total: float) -> float:
        """Return what a training must have time for: an epoch of the most promising candidate."""
        least = min(_LEAST_SECONDS, total / 8)
        if not arms:
            return least
        return max(least, min(self._epoch_seconds(arms[0]), total))

    def _epoch_seconds(self, candidate: Candidate) -> float:
        """Return what an epoch of a candidate takes, under labels alone."""
        pace = self._pace(candidate, self._method(candidate, None))
        return pace * self.recipes.steps_per_epoch

    def _ordered(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Return candidates by their best training, the best first."""
        best = [(each, self.judge.best(self._trained(each))) for each in candidates]
        owners = {id(trained): each for each, trained in best}
        return [owners[id(each)] for each in self.judge.ordered([trained for _, trained in best])]

    def _train(self, key: str, candidate: Candidate, seconds: float, stage: FitStage) -> None:
        before = self._trained(candidate)
        start = before[-1].weights if before else None
        guide = self._guide(key, candidate, stage, seconds)
        method = self._method(candidate, guide)
        asking = self._asking_seconds(guide, method)
        epochs = self._epochs(key, candidate, method, seconds, asking)
        if not epochs and guide is not None:
            guide, method = None, self._method(candidate, None)
            epochs = self._epochs(f"{key} by labels alone", candidate, method, seconds)
        if not epochs:
            self.left_out[candidate] = "an epoch takes longer than the time that is left"
            return
        name = "the long training" if stage == "final" else f"halving, {key.partition(',')[0]}"
        self._say(f"{candidate.name}: {epochs} epochs ({name})")
        recipe = self.recipes.training(candidate, epochs, start=start, guide=guide)
        teacher = "" if guide is None or self.teacher is None else self.teacher.candidate.name
        with self.clock.step(f"{name}: {candidate.name}", seconds):
            trained = self.trainings.run(
                candidate,
                recipe,
                stage,
                seconds=seconds,
                teacher=teacher,
            )
        self.done.setdefault(candidate, []).append(trained)
        self.left_out.pop(candidate, None)  # of an earlier round, which had no time for an epoch
        self._say(f"{candidate.name}: {_accuracy(trained)} after {epochs} epochs")

    def _guide(
        self, key: str, candidate: Candidate, stage: FitStage, seconds: float
    ) -> Guide | None:
        """Return whose soft labels a candidate learns from; None: labels alone.

        A pretrained network gains nothing from them in a short training, which asking would make
        shorter still: on 30 birds at 96 px, four epochs reached 90.4 % without and 90.9 % with.
        """
        teacher = self.teacher
        short = candidate.architecture.is_pretrained and stage == "halving"
        if teacher is None or short or candidate.architecture.attention_maps:
            return None
        # A network learns nothing from one that is no better than itself.
        own = self._trained(candidate)
        if own and self.judge.lead(self.judge.best(own), teacher) >= 0:
            return None
        guide = Guide(teacher.run, max(teacher.candidate.image_size, candidate.image_size))
        asking = self._asking_seconds(guide, self._method(candidate, guide))
        affordable = self.journal.number(
            f"{key}: a teacher", lambda: float(asking <= _ASKING * seconds)
        )
        return guide if affordable else None

    def _method(self, candidate: Candidate, guide: Guide | None) -> str:
        if candidate.architecture.attention_maps:
            return "cal"
        if guide is None:
            return "ce"
        return "kd" if candidate.architecture.is_pretrained else "tgda"

    def _asking_seconds(self, guide: Guide | None, method: str) -> float:
        """Return what asking the teacher about one draw of the augmentation takes."""
        if guide is None or self.teacher is None:
            return 0.0
        looks = 3 if method == "tgda" else 1
        return looks * self.journal.number("a look of the teacher", self._look_seconds)

    def _look_seconds(self) -> float:
        """Return what the teacher takes to look at every training picture."""
        assert self.teacher is not None
        recipe = self.recipes.probe(self.teacher.candidate)
        probe = self.trainings.run(self.teacher.candidate, recipe, "teacher")
        return 0.5 * probe.record.seconds  # it looked at each picture twice

    def _epochs(
        self, key: str, candidate: Candidate, method: str, seconds: float, asking: float = 0.0
    ) -> int:
        """Return how many epochs a training has time for."""

        def decide() -> float:
            pace = self._pace(candidate, method)
            per_epoch = self.recipes.steps_per_epoch
            epochs = 0
            for draws in range(4, 0, -1):  # fewer draws of the augmentation are asked about first
                epochs = epochs_within(seconds - draws * asking, pace, per_epoch)
                if epochs >= draws:
                    break
            enough = _ENOUGH if candidate.architecture.is_pretrained else _ENOUGH_FROM_SCRATCH
            return float(max(min(epochs, enough), 0))  # a head may have taken more than all

        return int(self.journal.number(f"{key}: epochs", decide))

    def _pace(self, candidate: Candidate, method: str) -> float:
        for trained in reversed(self.done.get(candidate, [])):
            if trained.record.method == method and trained.step_seconds is not None:
                return trained.step_seconds
        recipes, classes = self.recipes, len(self.trainings.data.classes)
        wish = recipes.training(candidate, 1, start=None, guide=None).precision
        return self.journal.number(
            f"a step of {candidate.name} by {method}",
            lambda: step_seconds(candidate, classes, recipes.batch, method, wish),
        )

    def _say(self, line: str) -> None:
        self.tell(f"{line} [{self.clock.text}]")


def _accuracy(trained: Trained) -> str:
    record = trained.record
    return f"top-1 {record.accuracy.top1:.1f} %, macro {record.macro:.1f} % on validation"
