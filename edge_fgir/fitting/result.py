"""The ``fit`` result: everything that the page of a fit shows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from edge_fgir.data import DataSet
from edge_fgir.fitting.course import Course
from edge_fgir.fitting.finalists import Finalist
from edge_fgir.fitting.networks import Candidate
from edge_fgir.fitting.shortlist import Considered, Shortlist
from edge_fgir.models import summarize
from edge_fgir.reporting import thumbnails
from edge_fgir.results import (
    Budget,
    Evaluation,
    FitCandidate,
    FitData,
    FitPoint,
    MeasuredLatency,
    PointSetting,
    SkippedPicture,
    TopOne,
)

_MORE = 1.0
"""Points on the validation split that are worth a sentence."""


def fit_data(data: DataSet) -> FitData:
    """Return what was found among the photographs."""
    return FitData(
        classes=data.classes,
        train=len(data.split("train")),
        val=len(data.split("val")),
        test=len(data.splits.get("test", ())),
        train_counts=tuple(data.counts("train")),
        skipped=tuple(
            SkippedPicture(file=each.file, reason=each.reason) for each in data.reading.skipped
        ),
        notes=data.reading.notes,
    )


def fit_candidates(
    considered: Sequence[Considered],
    course: Course,
    exported: Sequence[Candidate],
    classes: int,
    shortlist: Shortlist,
) -> tuple[FitCandidate, ...]:
    """Return all that was considered.

    Args:
        considered: In its order.
        course: What was trained of it.
        exported: Candidates of the finalists, as they were trained.
        classes: Number of classes.
        shortlist: Says which bounds are exceeded.
    """
    return tuple(_candidate(each, course, exported, classes, shortlist) for each in considered)


def _candidate(
    considered: Considered,
    course: Course,
    exported: Sequence[Candidate],
    classes: int,
    shortlist: Shortlist,
) -> FitCandidate:
    candidate = considered.candidate
    size = candidate.image_size
    network = candidate.network().build(classes, size, meta=True)
    counted = summarize(network, candidate.architecture.name, size, classes)
    trained = [
        record
        for other, records in course.done.items()
        for record in records
        if other.form == candidate.form
    ]
    left_out = "" if considered.fits else shortlist.reason(candidate)
    if not left_out and candidate.form not in [each.form for each in exported]:
        left_out = course.left_out.get(candidate, "others were more accurate")
    return FitCandidate(
        name=candidate.name,
        architecture=candidate.architecture.name,
        pretrained=candidate.architecture.is_pretrained,
        setting=PointSetting(**candidate.setting._asdict()),
        params=counted.params,
        gmacs=counted.gmacs,
        latencies=considered.latencies,
        trainings=tuple(each.record for each in trained),
        left_out=left_out,
    )


def fit_points(
    finalists: Sequence[Finalist], chosen: Finalist, considered: Sequence[Considered]
) -> tuple[FitPoint, ...]:
    """Return what was exported and measured, the chosen one first."""
    # A head may have been trained anew, for a smaller size than was considered.
    places = {each.candidate.form: place for place, each in enumerate(considered)}
    ordered = sorted(finalists, key=lambda each: (each is not chosen, -each.judged))
    return tuple(
        FitPoint(
            candidate=places[each.trained.candidate.form],
            name=each.candidate.name,
            setting=PointSetting(**each.candidate.setting._asdict()),
            precision=each.precision,
            measured=MeasuredLatency(
                p50_ms=each.latency.scopes.frame_to_decision.p50_ms,
                p99_ms=each.latency.scopes.frame_to_decision.p99_ms,
                certified=each.latency.certified,
            ),
            network_ms=each.latency.scopes.network.p50_ms,
            size_mb=each.cost.size_mb or 0.0,
            accuracy=_top_one(each.validation),
            macro=each.validation.macro,
            agreement=each.agreement,
            fits=each.fits,
            role="chosen" if each is chosen else "runner-up",
        )
        for each in ordered
    )


def with_pictures(evaluation: Evaluation, data: DataSet, bundle: Path) -> Evaluation:
    """Return an evaluation about the bundle that was written, with its confused pairs' pictures."""
    samples = data.split("test" if evaluation.split == "test" else "val")
    small = thumbnails(
        evaluation.confused_pairs,
        lambda index: (samples[index].path.name, data.read(samples[index])),
    )
    return evaluation.model_copy(update={"pictures": small, "bundle": str(bundle)})


def why(chosen: Finalist, finalists: Sequence[Finalist], budget: Budget, most_lost: float) -> str:
    """Return the choice in a sentence.

    Args:
        chosen: Of the finalists.
        finalists: All of them.
        budget: That was asked for.
        most_lost: Points that the export may lose, if the evidence is not against it.
    """
    frame = chosen.latency.scopes.frame_to_decision
    top1 = chosen.validation.top1
    within = f" within {budget.text}" if budget.text else ""
    rivals = len(finalists) - 1
    what = (
        "the fastest that is accurate enough"
        if _is_enough(chosen, budget)
        else ("the most accurate")
    )
    of = f" of {rivals + 1} that were built and measured" if rivals else ""
    state = "" if chosen.fits else ", but it does not keep the budget"
    if chosen.loss is not None and chosen.loss.interval[0] > most_lost:
        state += (
            f", but its export loses {chosen.loss} of top-1, more than {most_lost:g}: nothing that "
            "was trained passed"
        )
    return (
        f"{chosen.candidate.name} in {chosen.precision} is {what}{of}{within}: top-1 {top1:.1f} % "
        f"on the validation split, {frame.p50_ms:.2f} ms from frame to decision{state}"
    )


def _is_enough(chosen: Finalist, budget: Budget) -> bool:
    return budget.min_accuracy is not None and chosen.validation.top1 >= budget.min_accuracy


def advice(
    course: Course,
    considered: Sequence[Considered],
    chosen: Finalist,
    data: DataSet,
    shortlist: Shortlist,
) -> tuple[str, ...]:
    """Return what more time, a wider budget or more pictures would bring, a sentence each."""
    found: list[str] = []
    trained = course.done.get(chosen.trained.candidate, [])
    gains = [after.judged - before.judged for before, after in pairwise(trained)]
    if gains and gains[-1] >= _MORE and chosen.trained.run == trained[-1].run:
        found.append(
            f"More time: the last training still gained {gains[-1]:.1f} points; the same command "
            "with --resume and more --minutes trains longer."
        )
    teacher = course.teacher
    other = teacher is not None and teacher.candidate != chosen.trained.candidate
    if teacher is not None and other and teacher.judged >= chosen.judged + _MORE:
        found.append(
            f"A wider budget: the teacher, {teacher.candidate.name}, is "
            f"{teacher.judged - chosen.judged:.1f} points better."
        )
    if (nearest := shortlist.nearest(considered)) is not None:
        candidate, bound = nearest
        found.append(f"From {bound}, {candidate.name} would be tried as well.")
    counts = [count for count in data.counts("train") if count]
    few = [name for name, n in zip(data.classes, data.counts("train"), strict=True) if n < 20]
    if few:
        named = ", ".join(few[:3]) + (" ..." if len(few) > 3 else "")
        found.append(
            f"More pictures: {len(few)} classes have fewer than 20 for training ({named}); the "
            f"largest has {max(counts)}."
        )
    if len(data.split("val")) < 200:
        found.append(
            f"More validation pictures: {len(data.split('val'))} tell models apart only where they "
            "differ by several points."
        )
    return tuple(found)


def _top_one(evaluation: Evaluation) -> TopOne:
    low, high = evaluation.top1_interval
    return TopOne(top1=evaluation.top1, low=low, high=high)
