"""One elastic run against runs that were trained for one setting alone, at equal epochs.

    .venv/bin/python benchmarks/elastic.py --data ../shared/data/cub_100 --classes 30 \
        --work runs/elastic

A ViTFS-Nano learns birds from scratch under the soft labels of a head on frozen features. From its
weights go on, by recipe cub_100-vitfs_nano-elastic-cpu with method kd and for every seed: one run
for all sizes and keep rates, and a run for each of `SETTINGS` alone. All see every picture equally
often at each setting that they are trained for, or more seldom: the elastic run is shown four
settings of twelve in a step. Each is tested at its settings, with BatchNorm statistics measured
again for all of them alike. A fifth of the pictures that are not the test's is set aside; nothing
is chosen by the test. Finished runs are reused and interrupted ones resumed; start the script
twice, with OMP_NUM_THREADS=1, to use two cores. `--table` trains nothing.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path
from typing import Any

from tgda import claimed, first_classes, with_fifth_aside

from edge_fgir._files import write_json
from edge_fgir.benchmarking import environment
from edge_fgir.data import SPLITS, DataSet, labels_of, open_data, prepared_images
from edge_fgir.models import logits_of, reestimate
from edge_fgir.models.setting import Setting
from edge_fgir.runs import Run
from edge_fgir.training import read_recipe, train

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "elastic.json"
RECIPE = "cub_100-vitfs_nano-elastic-cpu"
EVALUATION = "evaluation.json"
ELASTIC = "elastic"
SIZES, KEEP_RATES = (160, 128, 96), (1.0, 0.7, 0.5, 0.25)
SETTINGS = (
    *(Setting(size, rate) for size, rate in product(SIZES, (1.0, 0.5))),
    Setting(160, 0.25),
    Setting(128, 0.25),
)
"""Where the elastic run has a rival."""

COMMON = (
    "method=kd",
    "data.workers=0",
    "data.view_size=192",
    f"eval.image_size={SIZES[0]}",
    f"model.options={{position_side: {SIZES[0] // 16}}}",
    "eval.every_epochs=1000000",
)


def main() -> None:
    """Train what is missing, and write what is finished."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="folder with train and test")
    parser.add_argument("--classes", type=int, default=0, help="only the first N classes")
    parser.add_argument("--work", type=Path, required=True, help="folder for the run folders")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--base-epochs", type=int, default=60)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], help="change to the recipe")
    parser.add_argument("--table", action="store_true", help="train nothing")
    parser.add_argument("--out", type=Path, default=RESULT, help="result file")
    options = parser.parse_args()
    data = with_fifth_aside(first_classes(open_data(options.data), options.classes))
    if not options.table:
        learn(data, options)
    write(options.out, options.work, data)


def learn(data: DataSet, options: argparse.Namespace) -> None:
    """Train teacher, base, and every run for every seed."""
    work: Path = options.work
    with claimed(work / "teacher.lock", wait=True):
        if not (work / "teacher" / "model.json").exists():
            train(read_recipe("probe"), data, work / "teacher", resume=True)
    normalization = Run.open(work / "teacher").description.normalization.model_dump()
    common = [
        *COMMON,
        f"teacher.run={work / 'teacher'}",
        *(f"data.{key}={list(value)}" for key, value in normalization.items()),
        *options.set,
    ]
    base = work / "base"
    alone = ["elastic=null", f"epochs={options.base_epochs}"]
    with claimed(work / "base.lock", wait=True):
        if not (base / "model.json").exists():
            scratch = ["model.weights=random", "optimizer.lr=2e-3", "optimizer.warmup_steps=300"]
            train(read_recipe(RECIPE, [*common, *alone, *scratch]), data, base, resume=True)
    for seed in options.seeds:
        own = [f"model.weights={Run.open(base).weights}", f"epochs={options.epochs}"]
        changes = [*common, *own, f"seed={seed}", f"teacher.cache_seed={seed}"]
        every = [f"elastic.image_sizes={list(SIZES)}", f"elastic.keep_rates={list(KEEP_RATES)}"]
        run(work / f"{ELASTIC}-{seed}", [*changes, *every], SETTINGS, data)
        for one in SETTINGS:
            alone = [
                "elastic=null",
                f"eval.image_size={one.image_size}",
                f"model.reduction.keep_rate={one.keep_rate}",
            ]
            run(work / f"{named(one)}-{seed}", [*changes, *alone], (one,), data)


def named(setting: Setting) -> str:
    """Return what a run for a setting alone is called."""
    return f"{setting.image_size}-{setting.keep_rate:g}"


def run(out: Path, changes: list[str], settings: tuple[Setting, ...], data: DataSet) -> None:
    """Train and test at some settings, unless that is done or another process is at it."""
    with claimed(out.with_suffix(".lock")) as mine:
        if not mine or (out / EVALUATION).exists():
            return
        result = train(read_recipe(RECIPE, changes), data, out, resume=True)
        facts = {"epochs": result.epochs, "seconds": result.seconds, "precision": result.precision}
        tested = {named(one): right_of(Run.open(out), one, data) for one in settings}
        write_json(out / EVALUATION, {**facts, "right": tested})


def right_of(trained: Run, setting: Setting, data: DataSet) -> dict[str, str]:
    """Return a digit for each picture of val and test: whether it is answered rightly."""
    asked = trained.at(setting) if trained.description.elastic else trained
    own = asked.description
    pictures = {split: prepared_images(data, data.split(split), own.preprocess) for split in SPLITS}
    model = asked.load()
    reestimate(model, pictures["train"], own.normalization)
    right = {}
    for split in ("val", "test"):
        answers = logits_of(model, pictures[split], own.normalization, split).argmax(axis=1)
        hits = answers == labels_of(data.split(split))
        right[split] = "".join("01"[int(hit)] for hit in hits)
    return right


def write(out: Path, work: Path, data: DataSet) -> None:
    """Write what is finished: for each seed and setting what both runs answer rightly."""
    rows, cost = [], {}
    for path in sorted(work.glob(f"{ELASTIC}-*/{EVALUATION}")):
        seed = int(path.parent.name.rpartition("-")[2])
        shared = json.loads(path.read_text())
        cost[path.parent.name] = {key: shared[key] for key in ("epochs", "seconds", "precision")}
        for one in SETTINGS:
            rival = work / f"{named(one)}-{seed}"
            if not (rival / EVALUATION).exists():
                continue
            alone = json.loads((rival / EVALUATION).read_text())
            cost[rival.name] = {key: alone[key] for key in ("epochs", "seconds", "precision")}
            rows.append(
                {
                    "image_size": one.image_size,
                    "keep_rate": one.keep_rate,
                    "seed": seed,
                    "alone": alone["right"][named(one)]["test"],
                    "elastic": shared["right"][named(one)]["test"],
                }
            )
    counts = {split: len(data.split(split)) for split in SPLITS}
    body: dict[str, Any] = {
        "schema": "edge-fgir/benchmark/1",
        "data": {"name": data.name, "classes": len(data.classes), **counts},
        "settings": {"image_sizes": SIZES, "keep_rates": KEEP_RATES},
        "runs": cost,
        "rows": rows,
    }
    write_json(out, {**body, "environment": environment().model_dump(mode="json")})


if __name__ == "__main__":
    main()
