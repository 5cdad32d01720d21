"""``profile``: from trained runs and a device's budget to a plan."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_fgir._errors import InputError
from edge_fgir._files import scratch
from edge_fgir.benchmarking import PROBES, DeviceHandle, Protocol, environment
from edge_fgir.data import DataSet
from edge_fgir.exporting import Target
from edge_fgir.profiling.accuracies import Accuracies
from edge_fgir.profiling.candidates import Candidate, Candidates, described
from edge_fgir.profiling.device_ref import DeviceRef
from edge_fgir.profiling.finalists import (
    AT_ONCE,
    ROUNDS,
    Finalist,
    FinalistBuilder,
    estimated_finalists,
    held_out_accuracy,
)
from edge_fgir.profiling.fit import ProbedModel
from edge_fgir.profiling.latency_models import latency_models
from edge_fgir.profiling.plan import Plan
from edge_fgir.profiling.result import Profiled, cost_steps, points_of, profiled_run
from edge_fgir.profiling.search_space import SearchSpace
from edge_fgir.reporting import write_report
from edge_fgir.results import Budget, Cost, Profile
from edge_fgir.runs import Run
from edge_fgir.runtime import Precision, find_runtime

RESULT, REPORT = ".profile.json", ".html"
"""Behind the plan's name without its ending."""

FINALISTS = Protocol(seconds=5.0)
"""How finalists are measured."""

Tell = Callable[[str], None]


def _silent(line: str) -> None:
    pass


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        runs: Finished run folders; the choice is among all of them.
        data: Their data set; choices look at its validation split alone.
        target: How the device runs networks.
        device: The device.
        budget: Its bounds.
        sizes: Input sides, pixels; empty: those a run was trained for, or some about its own.
        precisions: Of the target's; empty: INT8 and the float one.
        calibration: A latency model that was measured before.
        probing: How probes are timed.
        benching: How finalists are.
    """

    runs: tuple[Path, ...]
    data: DataSet
    target: Target
    device: DeviceRef
    budget: Budget
    sizes: tuple[int, ...] = ()
    precisions: tuple[Precision, ...] = ()
    calibration: Path | None = None
    probing: Protocol = PROBES
    benching: Protocol = FINALISTS


def profile(request: Request, out: Path, tell: Tell = _silent, tell_device: Tell = _silent) -> Plan:
    """Choose, and write the plan, its result and its report.

    Args:
        request: What is asked for.
        out: The plan, ``X.json``; ``X.profile.json`` and ``X.html`` are written beside it.
        tell: Gets a line for the user.
        tell_device: Gets a line of a device behind ssh.

    Raises:
        InputError: A run, the device or the budget is such that there is no choice.
    """
    began = time.monotonic()
    budget, ref = request.budget, request.device
    _check_runs(request)
    _check_bounds(request)
    with (
        ref.opened(find_runtime(request.target.runtime), tell_device) as device,
        scratch() as folder,
    ):
        profiled = [
            _profiled(request, device, run, title, tell)
            for run, title in zip(request.runs, _titles(request.runs), strict=True)
        ]
        ranked = sorted(
            (candidate for each in profiled for candidate in each.best),
            key=lambda each: each.of.rank(each.setting, each.accuracy, budget),
        )[: AT_ONCE * ROUNDS]
        if not ranked:
            raise _impossible([each.candidates for each in profiled], request)
        _check_accuracy(ranked[0], budget)
        if device is None:
            finalists = estimated_finalists(ranked, budget)
        else:
            builder = FinalistBuilder(
                budget, request.target, request.data, device, request.benching, folder, tell
            )
            finalists = builder.finalists(ranked)
        chosen = finalists[0]
        _check_budget(chosen, budget)
        test = held_out_accuracy(chosen, request.data)
    plan = Plan(
        run=chosen.candidates.title,
        weights=Run(chosen.candidates.run).weights_hash,
        target=request.target.name,
        device=ref.name,
        budget=budget,
        chosen=chosen.option(),
        why=_why(finalists, budget),
        runners_up=tuple(each.option() for each in finalists[1:]),
        estimate=not ref.is_at_hand,
    )
    points = tuple(point for each in profiled for point in points_of(each, finalists))
    result = Profile(
        device=ref.name,
        device_name=ref.title,
        target=plan.target,
        measured=not plan.estimate,
        budget=budget,
        data=request.data.info,
        images=profiled[0].candidates.accuracies.images,
        runs=tuple(profiled_run(each.candidates) for each in profiled),
        points=points,
        costs=cost_steps(points),
        why=plan.why,
        test=test,
        seconds=time.monotonic() - began,
        environment=environment(),
    )
    plan.save(out)
    result.write(out.with_suffix(RESULT))
    write_report([out.with_suffix(RESULT)], out.with_suffix(REPORT))
    return plan


def _titles(runs: Sequence[Path]) -> list[str]:
    """Return the recipes' names; folders where these are the same."""
    names = [Run.open(run).description.name for run in runs]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]


def _check_runs(request: Request) -> None:
    """Refuse runs that cannot be profiled, before a device is reached."""
    for path in request.runs:
        Run.open(path).check_classes(request.data)


def _check_bounds(request: Request) -> None:
    """Refuse bounds that an estimate says nothing of."""
    told = Cost(latency_ms=0, size_mb=0)
    if not request.device.is_at_hand and (unknown := request.budget.unknown(told)):
        raise InputError(
            f"a bound for {', '.join(unknown)}, which the data sheet of {request.device.name} "
            "does not tell",
            "a device that is measured: --device local or user@host",
            "or leave that bound out",
        )


def _profiled(
    request: Request, device: DeviceHandle | None, run: Path, title: str, tell: Tell
) -> Profiled:
    opened, target = Run.open(run), request.target
    trained, folder = opened.description, opened.profile
    precisions = request.precisions or tuple(
        dict.fromkeys(p for p in ("int8", target.float_precision) if p in target.precisions)
    )
    space = SearchSpace(trained, request.sizes)
    predictors = latency_models(
        ProbedModel(trained, space, target, device, request.probing),
        request.device,
        precisions,
        folder,
        request.calibration,
        tell,
    )
    accuracies = Accuracies(run, request.data, folder)
    candidates = Candidates(run, trained, space, predictors, accuracies, title)
    best, known = candidates.best(request.budget, AT_ONCE * ROUNDS)
    return Profiled(candidates, best, known)


def _impossible(runs: Sequence[Candidates], request: Request) -> InputError:
    budget = request.budget
    size = Budget(size_mb=budget.size_mb)
    known = [each for candidates in runs for each in candidates.costs(budget)]
    small = [each for each in known if not list(size.excess(each[1]))]
    if small:
        what = "the fastest" + (f" of at most {size.text}" if size.text else "")
        variant, cost = min(small, key=lambda each: each[1].latency_ms)
    else:
        what = "the smallest"
        variant, cost = min(known, key=lambda each: (each[1].size_mb or 0, each[1].latency_ms))
    bounds = (
        ("--latency-ms", budget.latency_ms, cost.latency_ms),
        ("--size-mb", budget.size_mb, cost.size_mb),
    )
    nearest = [
        f"{option} {_rounded(1.05 * least)}"
        for option, bound, least in bounds
        if bound is not None and least is not None and least > bound
    ]
    return InputError(
        f"no setting keeps the budget on {request.device.name}: {what}, "
        f"{described(variant.setting)} in {variant.precision}, takes "
        f"{', '.join(budget.excess(cost))}",
        "a budget that a setting keeps",
        f"the nearest is {' '.join(nearest)}",
    )


def _rounded(value: float) -> str:
    """Return two digits of a positive number, rounded up, without an exponent."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return f"{math.ceil(value / step) * step:g}"


def _check_accuracy(best: Candidate, budget: Budget) -> None:
    if budget.min_accuracy is not None and best.accuracy.top1 < budget.min_accuracy:
        raise InputError(
            f"top-1 is at most {best.accuracy.top1:.2f} % within the budget "
            f"({best.of.title}, {described(best.setting)})",
            f"{budget.min_accuracy:g} %",
            "widen the budget, or train further",
        )


def _check_budget(chosen: Finalist, budget: Budget) -> None:
    nearest = (
        "of all that was built nothing keeps the budget: the nearest, "
        f"{described(chosen.variant.setting)} in {chosen.variant.precision},"
    )
    if over := list(budget.excess(chosen.cost)):
        raise InputError(f"{nearest} takes {', '.join(over)}", "a wider budget")
    # Torch reached it, or nothing would have been built; quantization may have cost a little.
    if budget.min_accuracy is not None and chosen.accuracy.top1 < budget.min_accuracy:
        raise InputError(
            f"{nearest} has top-1 {chosen.accuracy.top1:.2f} %",
            f"{budget.min_accuracy:g} %",
            "widen the budget, or train further",
        )


def _why(finalists: Sequence[Finalist], budget: Budget) -> str:
    chosen = finalists[0].option()
    state = "measured" if chosen.measured else "estimated"
    best = min(finalists, key=lambda each: each.rank(budget))
    what = "most accurate" if budget.min_accuracy is None and best is finalists[0] else "fastest"
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
    line = (
        f"the {what} of {len(finalists)} finalists{within}: top-1 {chosen.top1:.2f} % on the "
        f"validation split, {chosen.latency_ms:.3f} ms {state}"
    )
    loss = finalists[0].loss(best)
    if best is finalists[0] or loss is None:
        return line
    return (
        f"{line}; {described(best.variant.setting)} has {best.accuracy.top1:.2f} % in "
        f"{best.cost.latency_ms:.3f} ms, which the split cannot tell from it: a loss of {loss}"
    )
