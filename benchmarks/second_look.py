"""GLSim beside its base, fairly: the same backbone, a new head in every arm, uncropped photographs.

    .venv/bin/python benchmarks/second_look.py --shared ../shared/data --work runs/clca \
        --out benchmarks/results/second_look.json

The backbone is that of `benchmarks/clca.py`, a small vision transformer with a class token and
LayerNorm that learned birds 31 to 100; it is trained in `--work` where it is not there. From its
weights every arm learns groceries at 224 px for `--epochs` with a new head: alone, with GLSim's
second look (arXiv 2407.12891) as published, whose box leaves out the last chosen row and column of
patches, and with the closed box. Recipe, steps and pictures are the same; a fifth of the pictures
that are not the test's is set aside, and on it each arm's learning rate is chosen by seed 0. The
test is asked about finished cells alone. Finished runs are reused and interrupted ones resumed;
start the script twice, with OMP_NUM_THREADS=1, to use two cores. `--write` trains nothing.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path
from typing import Any

from clca import BACKBONE, EVALUATION, NETWORK, other_birds, run
from tgda import first_classes, with_fifth_aside

from edge_fgir._files import write_json
from edge_fgir.benchmarking import environment
from edge_fgir.data import SPLITS, DataSet, open_data
from edge_fgir.runs import Run

SIDE = 224
CLASSES = 20
ARMS: dict[str, dict[str, Any] | None] = {
    "base": None,
    "GLSim": {"closed_box": False},
    "GLSim, closed box": {"closed_box": True},
}
RATES = (3e-4, 1e-3)


def main() -> None:
    """Train what is missing and write what is finished."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--work", type=Path, required=True, help="folder for the run folders")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--backbone-epochs", type=int, default=100)
    parser.add_argument("--write", action="store_true", help="train nothing")
    parser.add_argument("--out", type=Path, help="result file")
    options = parser.parse_args()
    groceries = open_data(str(options.shared / "grocery_store"))
    data = with_fifth_aside(first_classes(groceries, CLASSES))
    work = options.work / "second_look"
    if not options.write:
        backbone = options.work / "backbone"
        others = other_birds(open_data(str(options.shared / "cub_100")))
        changes = [*NETWORK, *BACKBONE, f"epochs={options.backbone_epochs}"]
        run(backbone, changes, others, ("val",), wait=True)
        start = [f"model.weights={Run.open(backbone).weights}", f"epochs={options.epochs}"]
        for wait in (False, True):  # what another process is at is waited for when all is begun
            for arm, rate in product(options.arms, RATES):
                changes = [*start, *changes_of(arm, rate, 0)]
                run(work / named(arm, rate, 0), changes, data, ("val",), wait=wait)
        for seed, arm in product(options.seeds, options.arms):
            rate = best_rate(work, arm)
            changes = [*start, *changes_of(arm, rate, seed)]
            run(work / named(arm, rate, seed), changes, data, ("val", "test"))
    if options.out:
        write(options.out, work, data)


def changes_of(arm: str, rate: float, seed: int) -> list[str]:
    """Return a cell's changes to the recipe."""
    return [
        *NETWORK,
        f"eval.image_size={SIDE}",
        f"data.view_size={SIDE}",
        "model.reduction=null",
        f"model.glsim={json.dumps(ARMS[arm])}",
        f"optimizer.lr={rate:g}",
        f"seed={seed}",
    ]


def named(arm: str, rate: float, seed: int) -> str:
    """Return the name of a run's folder."""
    return f"{arm}-{rate:g}-{seed}".replace(" ", "_")


def best_rate(work: Path, arm: str) -> float:
    """Return the learning rate at which an arm is best on the pictures set aside."""

    def val(rate: float) -> float:
        return float(json.loads((work / named(arm, rate, 0) / EVALUATION).read_text())["val"])

    return max(RATES, key=val)


def write(out: Path, work: Path, data: DataSet) -> None:
    """Write what is finished."""
    rows, trials = [], []
    for arm, rate, seed in product(ARMS, RATES, range(10)):
        path = work / named(arm, rate, seed)
        if not (path / EVALUATION).exists():
            continue
        known = json.loads((path / EVALUATION).read_text())
        facts: dict[str, Any] = {"arm": arm, "lr": rate, "seed": seed}
        if seed == 0:
            trials.append({**facts, "val": known["val"]})
        if "test" in known:
            kept = {name: value for name, value in known.items() if name != "val_right"}
            kept["right"] = kept.pop("test_right")
            rows.append(facts | kept)
    write_json(
        out,
        {
            "schema": "edge-fgir/benchmark/1",
            "data": {
                "name": data.name,
                "classes": len(data.classes),
                **{str(split): len(data.split(split)) for split in SPLITS},
            },
            "trials": trials,
            "rows": rows,
            "environment": environment().model_dump(mode="json"),
        },
    )


if __name__ == "__main__":
    main()
