"""Cross-entropy, distillation and TGDA at equal epochs, on real photographs, several seeds.

    .venv/bin/python benchmarks/tgda.py --data ../shared/data/cub_100 --classes 30 --work runs/tgda

trains the teacher once, then every cell of `CELLS` for every seed, and evaluates all of them on the
test split. Finished runs are reused and interrupted ones resumed; start the script twice to use two
cores, or several times to fill a GPU (recipes cub_100-teacher-gpu and cub_100-lrnet14-gpu). Runs
that the result file already holds count as finished. `--table` trains nothing.
"""

from __future__ import annotations

import argparse
import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from edge_fgir._files import write_json
from edge_fgir.benchmarking import environment
from edge_fgir.data import DataSet, Sample, labels_of, open_data, stratified
from edge_fgir.evaluation import evaluate
from edge_fgir.models import Network, summarize
from edge_fgir.runs import Run
from edge_fgir.training import read_recipe, train

ROOT = Path(__file__).resolve().parents[1]
EVALUATION = "test.json"
ASIDE = 0.2
SPLIT_SEED = 0

PLAIN = ("method=ce", "teacher=null")
LIVE = ("teacher.cache_variants=0",)
TEMPERATURES = (0.7, 1.0, 2.0, 3.0, 4.0)
"""Of which the best on val is taken; 0.7 is the paper's."""
CELLS: dict[str, tuple[str, ...]] = {
    "ce": PLAIN,
    "kd": ("method=kd",),
    "tgda": (),
    "tgda-crop": ("views=[crop]",),
    "tgda-drop": ("views=[drop]",),
    "tgda-live": LIVE,
    "tgda-mix": (*LIVE, "views=[crop, drop, mix]"),
    "tgda-train": (*LIVE, "teacher.mode=train"),
    "tgda-eval": (*LIVE, "teacher.mode=eval"),
    **{
        f"{method}-T{temperature:g}": (f"method={method}", f"loss.temperature={temperature}")
        for method in ("kd", "tgda")
        for temperature in TEMPERATURES
    },
    "ce-3x": (*PLAIN, "epochs=180"),
    "kd-3x": ("method=kd", "epochs=180"),
    "resnet18-ce": (*PLAIN, "model.name=resnet18"),
    "resnet18-tgda": ("model.name=resnet18",),
    **{
        f"resnet18-tgda-T{temperature:g}": (
            "model.name=resnet18",
            f"loss.temperature={temperature}",
        )
        for temperature in TEMPERATURES
    },
    "lrnet18-tgda": ("model.name=lrnet18",),
}
"""What is compared: changes to the student's recipe. ``3x``: as many pictures as TGDA sees, which
learns from two views beside each, where the recipe has 60 epochs."""

DEFAULT = ("ce", "kd", "tgda", "tgda-live", "resnet18-ce", "resnet18-tgda", "lrnet18-tgda")


def main() -> None:
    """Train what is missing, print the table and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="folder with train and test")
    parser.add_argument("--classes", type=int, default=0, help="only the first N classes")
    parser.add_argument("--work", type=Path, required=True, help="folder for the run folders")
    parser.add_argument("--teacher", default="cub_100-teacher", help="recipe")
    parser.add_argument("--student", default="cub_100-lrnet14-cpu", help="recipe")
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(DEFAULT))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], help="change to the student's recipe")
    parser.add_argument(
        "--fifth", action="store_true", help="set a fifth aside as val, to choose by"
    )
    parser.add_argument("--table", action="store_true", help="train nothing")
    parser.add_argument("--out", type=Path, help="result file")
    options = parser.parse_args()
    known = (
        json.loads(options.out.read_text())["runs"] if options.out and options.out.exists() else []
    )
    done = {(run["cell"], run["seed"]) for run in known}
    data = first_classes(open_data(options.data), options.classes)
    if options.fifth:
        data = with_fifth_aside(data)
    teacher = options.work / "teacher"
    if not options.table:
        pixels = read_recipe(options.teacher).data
        for seed in options.seeds:
            for cell in options.cells:
                if (cell, seed) in done:
                    continue
                if "teacher=null" not in CELLS[cell]:
                    run(options.teacher, [], data, teacher, wait=True)
                changes = [
                    f"teacher.run={teacher}",
                    f"teacher.cache_seed={seed}",
                    f"data.mean={list(pixels.mean)}",
                    f"data.std={list(pixels.std)}",
                    *options.set,
                    *CELLS[cell],
                    f"seed={seed}",
                ]
                run(options.student, changes, data, options.work / f"{cell}-{seed}")
    body = table(known, options.work, data)
    show(body)
    if options.out:
        write_json(options.out, {**body, "environment": environment().model_dump(mode="json")})


def first_classes(data: DataSet, count: int) -> DataSet:
    """Keep the first ``count`` classes; 0: all."""
    if not count:
        return data
    splits: Any = {
        split: tuple(Sample(s.path, s.label) for s in samples if s.label < count)
        for split, samples in data.splits.items()
    }
    name = f"{data.name}, first {count} classes"
    return DataSet(name, data.licence, data.classes[:count], splits, data.strict)


def with_fifth_aside(data: DataSet) -> DataSet:
    """Return data whose val is a fifth of train and val together, by class."""
    samples = [*data.split("train"), *data.split("val")]
    kept, aside = stratified(labels_of(samples).tolist(), [ASIDE], SPLIT_SEED)
    splits: Any = {
        "train": tuple(samples[place] for place in kept),
        "val": tuple(samples[place] for place in aside),
        "test": data.split("test"),
    }
    return DataSet(data.name, data.licence, data.classes, splits, data.strict)


def run(recipe: str, changes: list[str], data: DataSet, out: Path, *, wait: bool = False) -> None:
    """Train and evaluate, unless that is done or another process is at it."""
    with claimed(out.with_suffix(".lock"), wait=wait) as mine:
        if not mine or (out / EVALUATION).exists():
            return
        train(read_recipe(recipe, changes), data, out, resume=True)
        result = evaluate(Run.open(out).predictor(data), data, "test")
        kept = {"top1", "top5", "macro", "ece", "images"}
        write_json(out / EVALUATION, result.model_dump(mode="json", include=kept))


@contextmanager
def claimed(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Say whether this process alone is at what ``path`` stands for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True


def table(known: list[dict[str, Any]], work: Path, data: DataSet) -> dict[str, Any]:
    """Collect what is finished: earlier runs, and those in the folder ``work``."""
    runs = finished(work)
    new = {(run["cell"], run["seed"]) for run in runs}
    runs = [run for run in known if (run["cell"], run["seed"]) not in new] + runs
    cells = []
    for cell in dict.fromkeys(run["cell"] for run in runs):
        top1 = [run["top1"] for run in runs if run["cell"] == cell]
        cells.append(
            {
                "cell": cell,
                "seeds": len(top1),
                "top1": mean(top1),
                "sd": stdev(top1) if len(top1) > 1 else None,
                "gmacs": next(run["gmacs"] for run in runs if run["cell"] == cell),
            }
        )
    counts = {split: len(samples) for split, samples in data.splits.items()}
    return {
        "schema": "edge-fgir/benchmark/1",
        "data": {"name": data.name, "classes": len(data.classes), **counts},
        "cells": sorted(cells, key=lambda cell: float(cell["top1"] or 0)),
        "runs": runs,
    }


def finished(work: Path) -> list[dict[str, Any]]:
    """Return the finished runs below a folder."""
    runs = []
    for path in sorted(work.glob(f"*/{EVALUATION}")):
        summary = json.loads(Run(path.parent).summary.read_text())
        cell, _, seed = path.parent.name.rpartition("-")
        runs.append(
            {
                "cell": cell or path.parent.name,
                "seed": int(seed) if cell else None,
                **json.loads(path.read_text()),
                **{
                    k: summary[k]
                    for k in ("architecture", "epochs", "seconds", "device", "val_top1")
                },
                "gmacs": _gmacs(path.parent),
                "recipe": (path.parent / "config.yaml").read_text(),
            }
        )
    return runs


def _gmacs(path: Path) -> float:
    trained = Run.open(path).description
    size, classes = trained.preprocess.size, trained.num_classes
    model = Network(name=trained.network.name).build(classes, size, meta=True)
    return summarize(model, trained.network.name, size, classes).gmacs


def show(body: dict[str, Any]) -> None:
    """Print the table."""
    print(f"{body['data']['name']}: {body['data']['test']} test images")
    print(f"{'':16}{'top-1 %':>9}{'sd':>7}{'seeds':>7}{'GMACs':>8}")
    for cell in body["cells"]:
        spread = "-" if cell["sd"] is None else f"{cell['sd']:.2f}"
        print(
            f"{cell['cell']:16}{cell['top1']:9.2f}{spread:>7}{cell['seeds']:7}{cell['gmacs']:8.3f}"
        )


if __name__ == "__main__":
    main()
