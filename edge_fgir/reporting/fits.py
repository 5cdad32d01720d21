"""What a fit found, in words: its outcome, what was tried, what is noted about it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from edge_fgir.reporting.units import duration, milliseconds, percent
from edge_fgir.results import Fit, FitCandidate, FitPoint, FitTraining

_METHODS = {
    "probe": "a head on frozen features",
    "ce": "fine-tuned",
    "kd": "distilled",
    "tgda": "TGDA",
    "cal": "CAL",
}


@dataclass(frozen=True)
class Tried:
    """A candidate that something was trained of.

    Attributes:
        candidate: What the result says of it.
        point: What was exported of it, the chosen bundle first; None where nothing was.
        training: Its most accurate training.
    """

    candidate: FitCandidate
    point: FitPoint | None
    training: FitTraining

    @property
    def ms(self) -> float | None:
        """What it takes: measured with its own weights, else with random ones."""
        return self.point.measured.p50_ms if self.point is not None else self.candidate.ms


def tried(fit: Fit) -> tuple[Tried, ...]:
    """Return what was trained, the chosen one first and then by accuracy."""
    points: dict[int, FitPoint] = {}
    for point in fit.points:
        points.setdefault(point.candidate, point)
    rows = [
        Tried(candidate, points.get(index), candidate.best)
        for index, candidate in enumerate(fit.candidates)
        if candidate.best is not None
    ]
    chosen = fit.chosen.candidate
    return tuple(
        sorted(
            rows,
            key=lambda row: (row.candidate is not fit.candidates[chosen], -score(fit, row)),
        )
    )


def score(fit: Fit, row: Tried) -> float:
    """Return the accuracy that choices were made by, on the validation split, percent."""
    of = row.point if row.point is not None else row.training
    return of.macro if fit.judged_by == "macro" else of.accuracy.top1


def judged_by(fit: Fit) -> str:
    """Return the name of that accuracy."""
    return "macro accuracy" if fit.judged_by == "macro" else "top-1"


def outcome_of_fit(fit: Fit) -> str:
    """Say in one sentence what was made."""
    chosen, test = fit.chosen, fit.test
    if test is not None:
        reached = f"{percent(test.top1)} top-1 on {test.images} test images"
        if fit.judged_by == "macro":
            reached = f"{percent(test.macro)} macro accuracy ({reached})"
    else:
        reached = f"{percent(chosen.accuracy.top1)} validation top-1"
    took = f"{milliseconds(chosen.measured.p50_ms)} ms on {fit.device_name}"
    bounds = f", for a budget of {fit.budget.text}" if fit.budget.text else ""
    return f"{chosen.name}, {chosen.precision}: {reached} in {took}{bounds}"


def trained(training: FitTraining) -> str:
    """Return how a candidate was trained."""
    method = _METHODS.get(training.method, training.method)
    under = f" under {training.teacher}" if training.teacher else ""
    if not training.epochs:
        return f"{method}, {duration(training.seconds)}"
    epochs = f"{training.epochs} {'epoch' if training.epochs == 1 else 'epochs'}"
    return f"{method}{under}, {epochs}, {duration(training.seconds)}"


def data_of(fit: Fit) -> str:
    """Say what was found among the photographs."""
    found = fit.found
    text = (
        f"{len(found.classes)} classes; {found.train:,} pictures to learn from, {found.val:,} to "
        f"choose by, {found.test:,} to test on"
    )
    if found.imbalance >= 2:
        text += f"; the largest class has {found.imbalance:.0f} times as many as the smallest"
    return text + "."


def notes_of_fit(fit: Fit) -> list[str]:
    """Return what a reader must know before trusting the figures."""
    accuracy = fit.chosen.accuracy
    margin = (accuracy.high - accuracy.low) / 2
    notes = [
        f"{judged_by(fit).capitalize()} in the table is on {fit.found.val} validation images, "
        f"which tell it to about \N{PLUS-MINUS SIGN} {margin:.0f} points "
        "(95 %). The choice was made by them, so expect a little less on other images.",
        "Milliseconds are from frame to decision; those of what was not exported are of the same "
        "network with random weights.",
    ]
    slow = sum(not candidate.fits for candidate in fit.candidates)
    if slow:
        notes.append(
            f"{slow} of {len(fit.candidates)} candidates were never trained: with random weights "
            "they are beyond the budget already."
        )
    if not fit.chosen.measured.certified:
        notes.append(
            "The latency is not certified: clocks, heat and other work were not all watched and "
            "quiet."
        )
    if fit.found.skipped:
        reasons = Counter(picture.reason for picture in fit.found.skipped)
        listed = "; ".join(f"{n} \N{MULTIPLICATION SIGN} {why}" for why, n in reasons.items())
        count = len(fit.found.skipped)
        which = "1 picture was" if count == 1 else f"{count} pictures were"
        notes.append(f"{which} left out: {listed}.")
    return [*notes, *fit.found.notes]
