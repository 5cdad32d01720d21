"""One elastic run against runs that were trained for one setting alone.

    .venv/bin/python benchmarks/elastic.py --data ../shared/data/cub_100 --classes 30 \
        --base runs/vitfs_nano --teacher runs/teacher --work runs/elastic

starts all of them from the weights of the run `--base`, trains by recipe
cub_100-vitfs_nano-elastic-cpu, and evaluates them on the test split: the elastic
run at each of `SETTINGS`, every other run at its own. Finished runs are reused; start the script
twice to use two cores. `--table` trains nothing.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from tgda import first_classes, run

from edge_fgir._files import write_json
from edge_fgir.benchmarking import environment
from edge_fgir.data import DataSet, open_data
from edge_fgir.evaluation import answers, drop_interval
from edge_fgir.models.setting import Setting
from edge_fgir.runs import Run
from edge_fgir.training import read_recipe

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "elastic.json"
RECIPE = "cub_100-vitfs_nano-elastic-cpu"
ELASTIC = "elastic"
SETTINGS = tuple(Setting(size, rate) for size, rate in product((128, 96), (1.0, 0.7, 0.5)))
MOST_LOST = 1.5
"""Points of top-1 that sharing the weights may cost at a setting."""


def changes_of(setting: Setting | None, epochs: int) -> list[str]:
    """Return the changes to the recipe; None: the elastic run.

    A run of one setting has half of the ``epochs`` of the elastic one, which takes the time of four
    such runs and stands for all six.
    """
    if setting is None:
        return []
    return [
        "elastic=null",
        f"epochs={epochs // 2}",
        f"eval.image_size={setting.image_size}",
        f"model.reduction.keep_rate={setting.keep_rate}",
    ]


def name_of(setting: Setting) -> str:
    """Return the name of a setting's run folder."""
    return f"{setting.image_size}-{setting.keep_rate:g}"


def right_of(folder: Path, data: DataSet, setting: Setting) -> np.ndarray:
    """Return which test images a run answers rightly at a setting."""
    given = answers(Run.open(folder).at(setting).predictor(data), data, "test")
    right: np.ndarray = given.probabilities.argmax(axis=1) == given.labels
    return right


def row_of(work: Path, data: DataSet, setting: Setting) -> dict[str, Any]:
    """Compare the elastic run with the one of a single setting."""
    shared = right_of(work / ELASTIC, data, setting)
    alone = right_of(work / name_of(setting), data, setting)
    lost = 100 * float(alone.mean() - shared.mean())
    return {
        "image_size": setting.image_size,
        "keep_rate": setting.keep_rate,
        "alone_top1": round(100 * float(alone.mean()), 2),
        "elastic_top1": round(100 * float(shared.mean()), 2),
        "lost": round(lost, 2),
        "lost_interval": [round(value, 2) for value in drop_interval(alone, shared)],
        "ok": bool(lost <= MOST_LOST),
    }


def show(rows: list[dict[str, Any]]) -> None:
    """Print the table."""
    for row in rows:
        low, high = row["lost_interval"]
        print(
            f"{row['image_size']} px, keep {row['keep_rate']:g}: alone {row['alone_top1']:.2f} %, "
            f"elastic {row['elastic_top1']:.2f} %, lost {row['lost']:+.2f} ({low:+.2f} to "
            f"{high:+.2f})  {'ok' if row['ok'] else 'MISSED'}"
        )


def main() -> None:
    """Train what is missing, compare, print and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="folder with train and test")
    parser.add_argument("--classes", type=int, default=0, help="only the first N classes")
    parser.add_argument("--base", type=Path, required=True, help="run that all start from")
    parser.add_argument("--teacher", type=Path, required=True, help="its teacher's run")
    parser.add_argument("--work", type=Path, required=True, help="folder for the run folders")
    parser.add_argument("--set", action="append", default=[], help="change to the recipe")
    parser.add_argument("--table", action="store_true", help="train nothing")
    parser.add_argument("--out", type=Path, default=RESULT, help="result file")
    options = parser.parse_args()
    data = first_classes(open_data(options.data), options.classes)
    normalization = Run.open(options.teacher).description.normalization.model_dump()
    common = [
        f"model.weights={options.base / 'ema.safetensors'}",
        f"teacher.run={options.teacher}",
        *(f"data.{key}={list(value)}" for key, value in normalization.items()),
        *options.set,
    ]
    epochs = read_recipe(RECIPE, common).epochs
    jobs = {ELASTIC: changes_of(None, epochs)}
    jobs |= {name_of(one): changes_of(one, epochs) for one in SETTINGS}
    for name, changes in () if options.table else jobs.items():
        run(RECIPE, [*common, *changes], data, options.work / name)
    summaries = {
        name: json.loads(Run(options.work / name).summary.read_text())
        for name in jobs
        if Run(options.work / name).summary.exists()
    }
    if len(summaries) < len(jobs):
        print("another process is still training: its table will be whole")
        return
    rows = [row_of(options.work, data, setting) for setting in SETTINGS]
    show(rows)
    base = Run.open(options.base).description
    body = {
        "schema": "edge-fgir/benchmark/1",
        "bound": f"lost <= {MOST_LOST:g} points of top-1 at every setting",
        "data": {"name": data.name, **{str(name): len(s) for name, s in data.splits.items()}},
        "base": f"{base.network.name}, recipe {base.name}",
        "epochs": {name: summary["epochs"] for name, summary in summaries.items()},
        "seconds": {name: summary["seconds"] for name, summary in summaries.items()},
        "rows": rows,
    }
    write_json(options.out, {**body, "environment": environment().model_dump(mode="json")})


if __name__ == "__main__":
    main()
