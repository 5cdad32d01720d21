"""``fit``: from photographs and a device's budget to the best bundle, within minutes."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from edge_fgir._errors import EdgeFgirError, InputError
from edge_fgir._files import new_folder, sha256, write_json
from edge_fgir._refusal import stored
from edge_fgir.benchmarking import environment
from edge_fgir.data import DataSet
from edge_fgir.evaluation import FRIGATE, Visits
from edge_fgir.exporting import FRIGATE_SIDE, Target, check_program, check_unknown
from edge_fgir.fitting.clock import Clock
from edge_fgir.fitting.course import Course
from edge_fgir.fitting.finalists import Builder, Finalist, chosen, evaluated
from edge_fgir.fitting.journal import Journal
from edge_fgir.fitting.latencies import LatencyTable
from edge_fgir.fitting.networks import Architecture, architectures
from edge_fgir.fitting.recipes import Recipes
from edge_fgir.fitting.result import (
    advice,
    fit_candidates,
    fit_data,
    fit_points,
    why,
    with_pictures,
)
from edge_fgir.fitting.shortlist import Considered, Shortlist
from edge_fgir.fitting.sizes import timed_sizes
from edge_fgir.fitting.trainings import RUNS, Trained, Trainings
from edge_fgir.profiling import DeviceRef
from edge_fgir.reporting import write_report
from edge_fgir.results import Budget, Fit, FrigateReport
from edge_fgir.runtime import MANIFEST, Bundle, check_out, find_pictures, find_runtime, verify

WORK, RESULT, REPORT = ".fit", ".fit.json", ".html"
"""Behind the bundle's name without its ending: the work folder, the result and its page."""

_FEW = 4.0
"""Training pictures of the largest class over those of the smallest from which macro counts."""
_EXPORT_SECONDS = 45.0
"""Of one finalist: export, bench, validation; corrected by what the first one took."""
_RESERVE = 0.2
"""Share of the time that is kept for finalists, at most."""
_FINALISTS = 3
_REFUSALS = 3
"""By the gates, after which a fit that has no time left takes what is left."""
_ANSWER_SECONDS = 0.006
"""Of a test picture at the end, read and answered."""
_DIGITS = 12

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        data: The photographs, split.
        target: How the device runs networks.
        device: The device.
        budget: Its bounds.
        minutes: That all of it may take.
        timm_too: Weights may be downloaded by timm.
        from_scratch_only: No weights of others in the bundle.
        unknown: Folder of pictures that the model shall not know; None: there is none.
        golden: Folder of pictures that the bundle carries; None: some of the validation split.
        program: Another program that the bundle carries files for; None: there is none.
    """

    data: DataSet
    target: Target
    device: DeviceRef
    budget: Budget
    minutes: float = 60.0
    timm_too: bool = False
    from_scratch_only: bool = False
    unknown: Path | None = None
    golden: Path | None = None
    program: str | None = None

    @property
    def facts(self) -> dict[str, str]:
        """What a resumed fit must have in common with what it resumes."""
        return {
            "data": self.data.info.hash,
            "target": self.target.name,
            "device": self.device.name,
        }

    @property
    def key(self) -> str:
        """What decisions that follow from measured times are kept under."""
        facts = f"{self.minutes:g} {self.from_scratch_only} {self.budget.model_dump_json()}"
        return sha256(facts.encode())[:_DIGITS]


def fit(
    request: Request,
    out: Path,
    *,
    resume: bool = False,
    tell: Tell = lambda line: None,
    tell_device: Tell = lambda line: None,
) -> Fit:
    """Find, train, export and measure the best network for a device.

    Args:
        request: What is asked for.
        out: The bundle, ``X.fgir``; ``X.fit.json`` and the page ``X.html`` are written beside it,
            and the work folder ``X.fit``.
        resume: Go on where an earlier call stopped.
        tell: Gets a line for the user.
        tell_device: Gets a line of a device behind ssh.

    Raises:
        InputError: Data, device or budget are such that there is no choice, or ``out`` holds
            something else.
        EdgeFgirError: The device was lost, nothing passed the gates, or the accuracy that was asked
            for was not reached; in the last case everything has been written.
    """
    work = out.with_suffix(WORK)
    _check(request, out, work, resume=resume)
    clock = _clock(request, work, resume=resume)
    data, by_macro = request.data, _is_imbalanced(request.data)
    runtime = find_runtime(request.target.runtime)
    tell(_found(data, by_macro=by_macro))
    with request.device.opened(runtime, tell_device) as device:
        assert device is not None  # _check refuses devices that are not at hand
        offered = partial(
            architectures,
            timm_too=request.timm_too,
            from_scratch_only=request.from_scratch_only,
            balanced=by_macro,
            # A larger network would be shown nothing more.
            largest=None if request.program is None else FRIGATE_SIDE,
        )
        available = offered(request.minutes)
        recipes = Recipes(len(data.split("train")), by_macro)
        table = LatencyTable(device, request.target, data, recipes, work / "latencies.json")
        shortlist = Shortlist(request.budget, table.precisions, table.of)
        with clock.step("latencies of random weights"):
            considered = timed_sizes(available, table, shortlist, clock, tell)
        for architecture, reason in table.refused.items():
            tell(f"{architecture.title} is left out: {reason}")
        shortlist.check(considered)
        tell(_fitting(considered, shortlist))
        testing = _ANSWER_SECONDS * len(data.splits.get("test", ()))
        course = Course(
            trainings=Trainings(data, work, clock, by_macro),
            recipes=recipes,
            journal=Journal(work / f"journal-{request.key}.json"),
            clock=clock,
            reserve=min(_RESERVE * clock.seconds, _FINALISTS * _EXPORT_SECONDS + testing),
            tell=tell,
            closing=_EXPORT_SECONDS + testing,
        )
        teachers = architectures(
            request.minutes, timm_too=request.timm_too, from_scratch_only=False
        )
        builder = Builder(
            data=data,
            target=request.target,
            device=device,
            budget=request.budget,
            unknown=request.unknown,
            golden=request.golden,
            program=request.program,
            shortlist=shortlist,
            folder=work,
            clock=clock,
            by_macro=by_macro,
            probe=course.probe,
            tell=tell,
        )
        trained = course.run(considered, teachers, builder.settled)
        considered = [shortlist.at(course.settled(each.candidate)) for each in considered]
        with clock.step("exports and measurements"):
            finalists = _finalists(trained, builder, course.journal)
    best, taught = chosen(finalists, request.budget, course.judge), course.teacher
    if taught is not None and taught.record.stage != "teacher":
        taught = None  # a candidate, which has its own place
    with clock.step("verification and test"):
        _write(best, out)
        visits = None if request.program is None else Visits(FRIGATE, lenient=True)
        tests = evaluated(out, data, "test", visits) if data.splits.get("test") else None
    result = Fit(
        bundle=str(out),
        device=request.device.name,
        device_name=request.device.title,
        target=request.target.name,
        budget=request.budget,
        minutes=request.minutes,
        seconds=clock.spent,
        data=data.info,
        found=fit_data(data),
        judged_by="macro" if by_macro else "top1",
        candidates=fit_candidates(
            considered,
            course,
            [each.trained.candidate for each in finalists],
            len(data.classes),
            shortlist,
        ),
        teacher=None if taught is None else taught.record,
        teacher_name="" if taught is None else taught.candidate.name,
        points=fit_points(finalists, best, considered),
        why=why(best, finalists, request.budget, request.target.gates.max_top1_drop),
        advice=(
            *advice(course, considered, best, data, shortlist),
            *_with_more_time([each for each in offered(math.inf) if each not in available]),
        ),
        steps=clock.steps,
        latency=best.latency.model_copy(update={"bundle": str(out)}),
        test=None if tests is None else with_pictures(tests, data, out),
        validation=with_pictures(best.validation, data, out),
        frigate=None if request.program is None else FrigateReport.of(Bundle(out)),
        environment=environment(),
    )
    result.write(out.with_suffix(RESULT))
    write_report([out.with_suffix(RESULT)], out.with_suffix(REPORT))
    _check_accuracy(best, request.budget, out)
    return result


def _check(request: Request, out: Path, work: Path, *, resume: bool) -> None:
    """Refuse, before anything long begins, what cannot end well."""
    if not request.device.is_at_hand:
        raise InputError(
            f"--device {request.device.name}, a data sheet",
            "a device that networks can be timed on: local or user@host",
            "for an estimate run: edge-fgir profile",
        )
    if out.suffix in ("", WORK, REPORT, ".json"):
        raise InputError(f"--out {out}", "a bundle's name such as birds.fgir")
    check_out(out, as_zip=False)
    request.data.split("train")
    request.data.split("val")
    check_program(request.target, request.program)
    check_unknown(request.target, request.unknown)
    if request.golden is not None:
        find_pictures(request.golden)
    if min(request.data.counts("train")) < 1:
        empty = request.data.classes[request.data.counts("train").index(0)]
        raise InputError(f"class {empty} has no training picture", "at least one")
    file = work / "request.json"
    if file.exists():
        if not resume and (work / RUNS).exists():
            raise InputError(
                f"{work} is of an earlier fit", "a new --out", "add --resume to go on with it"
            )
        before = stored(TypeAdapter(dict[str, Any]), file, {})
        changed = [key for key, value in request.facts.items() if before.get(key) != value]
        if changed:
            raise InputError(
                f"{work} is of another fit: {', '.join(changed)} changed",
                "the same command with --resume",
                "choose another --out",
            )
    write_json(file, request.facts)


def _clock(request: Request, work: Path, *, resume: bool) -> Clock:
    """Return the clock of a request, which a resumed one goes on with.

    Another request has its own minutes, as it has its own decisions: what an earlier one spent is
    in what it finds on disk.
    """
    spent = work / f"clock-{request.key}.json"
    if not resume:
        spent.unlink(missing_ok=True)  # of a fit that was refused before anything was trained
    return Clock(60 * request.minutes, spent)


def _is_imbalanced(data: DataSet) -> bool:
    counts = [count for count in data.counts("train") if count]
    return max(counts) >= _FEW * min(counts)


def _found(data: DataSet, *, by_macro: bool) -> str:
    sizes = ", ".join(f"{len(samples)} {split}" for split, samples in data.splits.items())
    counts = data.counts("train")
    judged = (
        "; choices are made by the mean over the classes, as some have few pictures"
        if by_macro
        else ""
    )
    return (
        f"{data.name}: {len(data.classes)} classes, {sizes} pictures, {min(counts)} to "
        f"{max(counts)} a class for training{judged}"
    )


def _fitting(considered: Sequence[Considered], shortlist: Shortlist) -> str:
    fitting = [f"{each.candidate.name} ({each.ms:.2f} ms)" for each in considered if each.fits]
    beyond: dict[str, list[str]] = {}
    for each in considered:
        if not each.fits:
            reason = shortlist.reason(each.candidate)
            beyond.setdefault(reason, []).append(each.candidate.architecture.title)
    beside = "".join(f"; {reason}: {', '.join(titles)}" for reason, titles in beyond.items())
    return f"within the budget: {', '.join(fitting)}{beside}"


def _finalists(trained: Sequence[Trained], builder: Builder, journal: Journal) -> list[Finalist]:
    """Build some of what was trained, the most promising first, while there is time."""
    if not trained:
        raise EdgeFgirError(
            "nothing could be trained in the time; run again with --resume and more --minutes"
        )
    finalists: list[Finalist] = []
    reasons: list[str] = []
    took, least = _EXPORT_SECONDS, builder.budget.min_accuracy
    left = _in_turn(trained) if least is None else _by_speed(trained, builder, least)
    clock = builder.clock
    for number in range(len(left)):
        good = [finalist for finalist in finalists if finalist.fits]
        has_time = partial(float, clock.left // took)
        sizes = journal.number(f"sizes of finalist {number}", has_time)
        late = sizes < 1
        if late and least is not None:
            # Each may be the last: the most accurate is the likeliest to reach it as a bundle.
            left.sort(key=_top1, reverse=True)
        each = left.pop(0)
        unmet = least is not None and _top1(each) >= least
        enough = good and not unmet and (len(finalists) >= _FINALISTS or late)
        if enough or (late and len(reasons) >= _REFUSALS):
            break
        if least is not None and any(finalist.validation.top1 >= least for finalist in good):
            break  # all that follow are slower, or less accurate than was asked for
        if any(finalist.trained.candidate.form == each.candidate.form for finalist in finalists):
            continue  # a better training of it could be built, maybe at a smaller size
        began = clock.spent
        # What has nothing beside it is built at every size that it may need.
        made = builder.finalist(each, sizes if good else math.inf)
        took = max(clock.spent - began, took)  # one that was built for its size took no time
        if isinstance(made, str):
            reasons.append(made)
        else:
            finalists.append(made)
    if not finalists:
        made = builder.last_resort(trained[0])
        if isinstance(made, str):
            raise EdgeFgirError(f"nothing that was trained passed the export's gates: {reasons[0]}")
        finalists.append(made)
    return finalists


def _by_speed(trained: Sequence[Trained], builder: Builder, least: float) -> list[Trained]:
    """Return what is accurate enough, the fastest first, and then the rest."""
    enough = [each for each in trained if _top1(each) >= least]
    enough.sort(key=lambda each: builder.shortlist.at(each.candidate).ms)
    return [*enough, *(each for each in trained if _top1(each) < least)]


def _top1(trained: Trained) -> float:
    return trained.record.accuracy.top1


def _in_turn(trained: Sequence[Trained]) -> list[Trained]:
    """Return the best, then what stands for the other kind of start, then the next best."""
    first, *rest = trained
    start = first.candidate.architecture.is_pretrained
    other = [each for each in rest if each.candidate.architecture.is_pretrained != start][:1]
    return [first, *other, *(each for each in rest if each not in other)]


def _write(best: Finalist, out: Path) -> None:
    """Copy the bundle to its place and verify it there."""
    with new_folder(out, replaces=MANIFEST) as draft:
        shutil.copytree(best.bundle, draft, dirs_exist_ok=True)
    failed = [check for check in verify(out) if not check.ok]
    if failed:
        raise EdgeFgirError(f"{out} does not verify: {failed[0].name}: {failed[0].detail}")


def _with_more_time(others: Sequence[Architecture]) -> list[str]:
    """Say from when on other architectures are considered, where there are any."""
    if not others:
        return []
    minutes = min(each.least_minutes for each in others)
    titles = ", ".join(each.title for each in others if each.least_minutes == minutes)
    return [f"With --minutes {minutes:g}, {titles} would be considered as well."]


def _check_accuracy(best: Finalist, budget: Budget, out: Path) -> None:
    if budget.min_accuracy is not None and best.validation.top1 < budget.min_accuracy:
        raise EdgeFgirError(
            f"top-1 is {best.validation.top1:.2f} % on the validation split, less than the "
            f"{budget.min_accuracy:g} % asked for; {out} was written: add --resume and more "
            "--minutes, or widen the budget"
        )
