"""From budgets to bundles on this machine: `profile`, `export --plan`, `bench`; and brute force.

    .venv/bin/python benchmarks/plan.py --run runs/elastic --data ../shared/data/cub_100 \
        --classes 30 --budgets 2.2 1.5 1.0 --work runs/plan

For every budget (p50 from frame to decision, milliseconds) the plan's bundle is built and benched
twice. Then every setting of the run's grid (its own reduction method; its sizes, six keep rates in
every stage) is evaluated, and the best one that is predicted to fit stands beside what the search
found by asking for few. Choices are made on val. The few val pictures of `--data` would make brute
force a lottery: half of the test pictures, every other one of each class, are moved to val, and the
other half is what accuracy is told on. As everything is known then, the search is also asked at
40 budgets between the fastest setting and the slowest.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tgda import first_classes

from edge_fgir._files import write_json
from edge_fgir.benchmarking import LocalDevice, environment
from edge_fgir.data import DataSet, open_data
from edge_fgir.evaluation import top1
from edge_fgir.exporting import ExportOptions, export, read_target
from edge_fgir.models.setting import Setting
from edge_fgir.profiling import Budget, DeviceRef, Plan, Request, described, profile
from edge_fgir.profiling.accuracies import Accuracies
from edge_fgir.profiling.candidates import Candidates
from edge_fgir.profiling.fit import ProbedModel
from edge_fgir.profiling.latency_models import latency_models
from edge_fgir.profiling.search_space import SearchSpace
from edge_fgir.results import TopOne
from edge_fgir.runs import Run

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "plan.json"
TARGET = "openvino"
MOST_LOST, MOST_APART = 0.5, 3.0
"""Points of top-1 behind brute force; percent between two benches."""
_BENCH_S, _FINALISTS, _BUDGETS = 10.0, 9, 40


def halved(data: DataSet) -> DataSet:
    """Return data whose val is every other test picture of each class."""
    samples = sorted(data.split("test"), key=lambda one: (one.label, str(one.path)))
    return replace(data, splits={**data.splits, "val": samples[::2], "test": samples[1::2]})


def planned(
    run: Path, data: DataSet, budget_ms: float, work: Path, ref: DeviceRef
) -> dict[str, Any]:
    """Profile, build the plan's bundle and bench it twice."""
    target = read_target(TARGET)
    request = Request(
        runs=(run,),
        data=data,
        target=target,
        device=ref,
        budget=Budget(latency_ms=budget_ms),
    )
    path = work / f"plan-{budget_ms:g}.json"
    profile(request, path, tell=print)
    plan = Plan.read(path)
    plan.check(Run(run).weights_hash, TARGET)
    chosen = plan.chosen
    bundle = export(
        run,
        target,
        data,
        work / f"{budget_ms:g}.fgir",
        ExportOptions(precision=chosen.precision, setting=chosen.setting),
    )
    with LocalDevice() as device:
        benches = [device.bench(bundle, seconds=_BENCH_S) for _ in range(2)]
    p50 = [bench.scopes.frame_to_decision.p50_ms for bench in benches]
    apart = 100 * abs(p50[0] - p50[1]) / min(p50)
    return {
        "budget_ms": budget_ms,
        "setting": list(plan.chosen.setting),
        "precision": plan.chosen.precision,
        "val_top1": plan.chosen.top1,
        "plan_p50_ms": round(plan.chosen.latency_ms, 4),
        "bench_p50_ms": [round(value, 4) for value in p50],
        "apart_percent": round(apart, 2),
        "certified": [bench.certified for bench in benches],
        "uncertified_because": sorted({why for b in benches for why in b.uncertified_because}),
        "within_budget": bool(max(p50) <= budget_ms),
        "benches_agree": bool(apart <= MOST_APART),
    }


def compared(run: Path, data: DataSet, budgets: list[float], ref: DeviceRef) -> dict[str, Any]:
    """Search, and evaluate everything, with the latency model that `profile` has measured."""
    trained, folder = Run.open(run).description, Run(run).profile
    space = SearchSpace(trained)
    space.methods = space.methods[:1]
    target = read_target(TARGET)
    with LocalDevice() as device:
        predictors = latency_models(
            ProbedModel(trained, space, target, device),
            ref,
            ("int8", target.float_precision),
            folder,
            tell=print,
        )
    candidates = Candidates(run, trained, space, predictors, Accuracies(run, data, folder), "")
    grid = list(space.whole())
    found = dict(zip(grid, candidates.accuracies.of(grid), strict=True))
    best_of_all = partial(brute_force, candidates, found)
    rows = []
    for ms in budgets:
        budget = Budget(latency_ms=ms)
        fitting, brute = best_of_all(budget)
        best, known = candidates.best(budget, _FINALISTS)
        lost = found[brute].top1 - best[0].accuracy.top1
        tests = {one: test_top1(run, data, one) for one in (best[0].setting, brute)}
        rows.append(
            {
                "budget_ms": ms,
                "settings": len(grid),
                "fitting": fitting,
                "asked_for": len(known),
                "search": described(best[0].setting),
                "brute_force": described(brute),
                "search_val_top1": round(best[0].accuracy.top1, 2),
                "brute_force_val_top1": round(found[brute].top1, 2),
                "search_test_top1": round(tests[best[0].setting], 2),
                "brute_force_test_top1": round(tests[brute], 2),
                "lost_on_val": round(lost, 2),
                "ok": bool(lost <= MOST_LOST),
            }
        )
    times = [candidates.least_ms(setting) for setting in grid]
    lost_at, asked = [], []
    for ms in np.linspace(min(times), max(times), _BUDGETS):
        budget = Budget(latency_ms=float(ms) + 1e-6)
        best, known = candidates.best(budget, _FINALISTS)
        lost_at.append(found[best_of_all(budget)[1]].top1 - best[0].accuracy.top1)
        asked.append(len(known))
    many = {
        "budgets": _BUDGETS,
        "median_asked_for": float(np.median(asked)),
        "worst_lost_on_val": round(max(lost_at), 2),
        "missed": sum(lost > MOST_LOST for lost in lost_at),
    }
    return {"search": rows, "many_budgets": many}


def brute_force(
    candidates: Candidates, found: Mapping[Setting, TopOne], budget: Budget
) -> tuple[int, Setting]:
    """Return how many settings keep a budget, and the best of them."""
    fitting = [one for one in found if next(candidates.fitting(one, budget), None) is not None]
    return len(fitting), min(fitting, key=lambda one: candidates.rank(one, found[one], budget))


def test_top1(run: Path, data: DataSet, setting: Setting) -> float:
    """Return top-1 on the pictures that chose nothing, percent."""
    return top1(Run.open(run).at(setting).predictor(data), data, "test")


def show(rows: list[dict[str, Any]]) -> None:
    """Print rows as they are."""
    for row in rows:
        print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)


def main() -> None:
    """Plan, compare, print and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="a run with token reduction")
    parser.add_argument("--data", required=True, help="its data")
    parser.add_argument("--classes", type=int, default=0, help="only the first N classes")
    parser.add_argument("--budgets", nargs="+", type=float, required=True, help="milliseconds")
    parser.add_argument("--work", type=Path, required=True, help="for plans and bundles")
    parser.add_argument(
        "--only", choices=("plans", "search"), help="the other part stays as the result file has it"
    )
    parser.add_argument("--out", type=Path, default=RESULT, help="result file")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    data = halved(first_classes(open_data(options.data), options.classes))
    ref = DeviceRef.parse("local")
    body: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {}
    if options.only != "search":
        body["plans"] = [
            planned(options.run, data, ms, options.work, ref) for ms in options.budgets
        ]
        show(body["plans"])
    if options.only != "plans":
        body |= compared(options.run, data, options.budgets, ref)
        show([*body["search"], body["many_budgets"]])
    body |= {
        "schema": "edge-fgir/benchmark/1",
        "bounds": f"lost_on_val <= {MOST_LOST:g}, benches within {MOST_APART:g} %",
        "data": {"name": data.name, **{str(name): len(s) for name, s in data.splits.items()}},
        "run": Run.open(options.run).description.name,
    }
    write_json(options.out, {**body, "environment": environment().model_dump(mode="json")})


if __name__ == "__main__":
    main()
