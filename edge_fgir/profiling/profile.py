"""``profile``: from trained runs and a device's budget to a plan."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_fgir._errors import InputError
from edge_fgir._files import sha256
from edge_fgir.benchmarking import write_result
from edge_fgir.data import DataSet
from edge_fgir.exporting import Target
from edge_fgir.models.trained import TrainedModel, class_difference, read_labels, weights_file
from edge_fgir.profiling.accuracies import Accuracies
from edge_fgir.profiling.budget import Budget
from edge_fgir.profiling.candidates import Candidate, Candidates, described
from edge_fgir.profiling.finalists import AT_ONCE, ROUNDS, Finalist, built, estimated, on_test
from edge_fgir.profiling.place import Place
from edge_fgir.profiling.plan import Plan
from edge_fgir.profiling.result import Profiled, body_of
from edge_fgir.profiling.space import Space
from edge_fgir.profiling.speeds import speeds_of
from edge_fgir.reporting import write_report
from edge_fgir.runtime.manifest import Precision

RESULT, REPORT = ".profile.json", ".html"
"""Behind the plan's name without its ending."""
FOLDER = "profile"
"""Inside a run's folder: what was measured of it, for the next time."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        runs: Finished run folders; the choice is among all of them.
        data: Their data set; choices look at its validation split alone.
        target: How the device runs networks.
        place: The device.
        budget: Its bounds.
        sizes: Input sides, pixels; empty: those a run was trained for, or some about its own.
        precisions: Of the target's; empty: INT8 and the float one.
        calibration: A latency model that was measured before.
    """

    runs: tuple[Path, ...]
    data: DataSet
    target: Target
    place: Place
    budget: Budget
    sizes: tuple[int, ...] = ()
    precisions: tuple[Precision, ...] = ()
    calibration: Path | None = None


def profile(request: Request, out: Path, tell: Tell = lambda line: None) -> Plan:
    """Choose, and write the plan, its result and its report.

    Args:
        request: What is asked for.
        out: The plan, ``X.json``; ``X.profile.json`` and ``X.html`` are written beside it.
        tell: Gets a line for the user.

    Raises:
        InputError: A run, the device or the budget is such that there is no choice.
    """
    began = time.monotonic()
    budget, place = request.budget, request.place
    titles = _titles(request.runs)
    profiled = [
        _profiled(request, run, title, tell)
        for run, title in zip(request.runs, titles, strict=True)
    ]
    ranked = sorted(
        (candidate for one in profiled for candidate in one.best),
        key=lambda one: one.of.rank(one.setting, one.accuracy, budget),
    )[: AT_ONCE * ROUNDS]
    if not ranked:
        raise _impossible([one.candidates for one in profiled], request)
    _check_accuracy(ranked[0], budget)
    with tempfile.TemporaryDirectory() as folder:
        finalists = (
            built(ranked, budget, request.target, request.data, place.rig, Path(folder), tell)
            if place.rig is not None
            else estimated(ranked, budget)
        )
        chosen = finalists[0]
        _check_budget(chosen, budget)
        test = on_test(chosen, request.data)
    plan = Plan(
        run=chosen.candidates.title,
        weights=weights_hash(chosen.candidates.run),
        target=request.target.name,
        device=place.name,
        budget=budget,
        chosen=chosen.option(),
        why=_why(finalists, budget),
        runners_up=tuple(one.option() for one in finalists[1:]),
        estimate=place.rig is None,
    )
    body = body_of(plan, place, request.data, profiled, finalists, test)
    plan.save(out)
    result = out.with_suffix(RESULT)
    write_result(result, "profile", {**body, "seconds": time.monotonic() - began})
    write_report([result], out.with_suffix(REPORT))
    return plan


def weights_hash(run: Path) -> str:
    """Return the SHA-256 of the weights that are evaluated and exported."""
    return sha256(weights_file(run).read_bytes())


def _titles(runs: Sequence[Path]) -> list[str]:
    """Return the recipes' names; folders where these are the same."""
    names = [TrainedModel.read(run).name for run in runs]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]


def _profiled(request: Request, run: Path, title: str, tell: Tell) -> Profiled:
    trained = TrainedModel.read(run)
    if trained.network.attention_maps:
        raise InputError(f"{run} is a CAL teacher", "a student: teachers are not deployed")
    labels = read_labels(run)
    if labels != request.data.classes:
        raise InputError(
            f"run {run} knows other classes than data {request.data.name}",
            f"the data it was trained on ({trained.data.name})",
            class_difference(labels, request.data.classes),
        )
    target = request.target
    precisions = request.precisions or tuple(
        dict.fromkeys(p for p in ("int8", target.float_precision) if p in target.precisions)
    )
    space, folder = Space(trained, request.sizes), run / FOLDER
    speeds = speeds_of(
        trained,
        space,
        target,
        request.place,
        precisions=precisions,
        folder=folder,
        calibration=request.calibration,
        tell=tell,
    )
    accuracies = Accuracies(run, request.data, folder)
    candidates = Candidates(run, trained, space, speeds, accuracies, title)
    best, known = candidates.best(request.budget, AT_ONCE * ROUNDS)
    return Profiled(candidates, best, known)


def _impossible(runs: Sequence[Candidates], request: Request) -> InputError:
    fastest = [(candidates, candidates.fastest()) for candidates in runs]
    candidates, way = min(fastest, key=lambda one: one[0].predict([one[1]])[0].ms)
    cost = candidates.cost(way, request.budget)
    return InputError(
        f"no setting keeps the budget on {request.place.name}: the fastest, "
        f"{described(way.setting)} in {way.precision}, takes "
        f"{', '.join(request.budget.excess(cost))}",
        "a budget that a setting keeps",
        f"the nearest is --latency-ms {cost.latency_ms * 1.05:.2g}",
    )


def _check_accuracy(best: Candidate, budget: Budget) -> None:
    if budget.min_accuracy is not None and best.accuracy.top1 < budget.min_accuracy:
        raise InputError(
            f"top-1 is at most {best.accuracy.top1:.2f} % within the budget "
            f"({best.of.title}, {described(best.setting)})",
            f"{budget.min_accuracy:g} %",
            "widen the budget, or train further",
        )


def _check_budget(chosen: Finalist, budget: Budget) -> None:
    if unknown := budget.unknown(chosen.cost):
        raise InputError(
            f"a bound for {', '.join(unknown)}, which this device does not tell",
            "a device with a meter",
            "leave that bound out",
        )
    if over := list(budget.excess(chosen.cost)):
        raise InputError(
            f"of all that was built nothing keeps the budget: the nearest, "
            f"{described(chosen.way.setting)} in {chosen.way.precision}, takes {', '.join(over)}",
            "a wider budget",
        )


def _why(finalists: Sequence[Finalist], budget: Budget) -> str:
    chosen = finalists[0].option()
    state = "measured" if chosen.measured else "estimated"
    what = "most accurate" if budget.min_accuracy is None else "fastest"
    bound = []
    if budget.latency_ms is not None:
        bound.append(f"{budget.latency_ms:g} ms ({budget.percentile})")
    if budget.min_accuracy is not None:
        bound.append(f"{budget.min_accuracy:g} % top-1")
    bound += [
        f"{value:g} {unit}"
        for value, unit in (
            (budget.memory_mb, "MB of memory"),
            (budget.energy_mj, "mJ a frame"),
            (budget.size_mb, "MB of files"),
        )
        if value is not None
    ]
    within = f" within {', '.join(bound)}" if bound else ""
    return (
        f"the {what} of {len(finalists)} finalists{within}: top-1 {chosen.top1:.2f} % on the "
        f"validation split, {chosen.latency_ms:.3f} ms {state}"
    )
