"""What holds a small network back that learns labels alone, from scratch: cells of several seeds.

    .venv/bin/python benchmarks/from_scratch.py --data ../shared/data/cub_100 --classes 30 \
        --work runs/scratch --out benchmarks/results/from_scratch.json

A fifth of the pictures that are not the test's is set aside, the same for all; choices between
cells are made by it. Each finished run is tested once: on the pixels that a device makes in one
step, and where it learned from the paper's two steps, on those too; with BatchNorm statistics as
trained, and measured again on training pictures as they are tested. Finished runs are reused and
interrupted ones resumed; start the script twice to use two cores.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from tgda import claimed, first_classes, with_fifth_aside

from edge_fgir._files import write_json
from edge_fgir.benchmarking import environment
from edge_fgir.data import SPLITS, DataSet, labels_of, open_data, prepared_images
from edge_fgir.evaluation import accuracy, expected_calibration_error
from edge_fgir.models import Network, logits_of, reestimate, summarize
from edge_fgir.runs import Run, TrainedModel
from edge_fgir.training import read_recipe, train

EVALUATION = "test.json"
NEVER = 1_000_000

PLAIN = ("method=ce", "teacher=null", "data.workers=0")
PAPER = ("model.name=lrnet14", "eval.two_steps=true")
CELLS: dict[str, tuple[str, ...]] = {
    "lrnet14, two steps": PAPER,
    "lrnet14": ("model.name=lrnet14",),
    "lrnet14d": ("model.name=lrnet14d",),
    "resnet18": ("model.name=resnet18",),
}
"""What is compared: changes to the student's recipe. ``two steps``: the paper's pixels."""

CHANGES: dict[str, tuple[str, ...]] = {
    "gammas at one": ("model.options={zero_init_last: false}",),
    "Muon": ("optimizer.name=muon",),
    "TrivialAugment": ("data.trivial_augment=true",),
    "drop path 0.1": ("model.drop_path=0.1",),
    "no smoothing": ("loss.label_smoothing=0",),
    "no averaging": ("optimizer.ema_decay=0",),
    "twice as long": ("epochs=60",),
}
"""What may follow a cell's name, after a plus sign each."""


def main() -> None:
    """Train what is missing and write what is finished."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="folder with train and test")
    parser.add_argument("--classes", type=int, default=0, help="only the first N classes")
    parser.add_argument("--work", type=Path, required=True, help="folder for the run folders")
    parser.add_argument("--recipe", default="cub_100-lrnet14-cpu", help="the student's")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--cells", nargs="*", default=list(CELLS), metavar="CELL + CHANGE")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path, help="result file")
    options = parser.parse_args()
    data = with_fifth_aside(first_classes(open_data(options.data), options.classes))
    for seed in options.seeds:
        for cell in options.cells:
            epochs = f"epochs={options.epochs}", f"eval.every_epochs={NEVER}"
            changes = [*PLAIN, *epochs, *changes_of(cell), f"seed={seed}"]
            run(cell, seed, options.recipe, changes, data, options.work)
    if options.out:
        write(options.out, options.work, data)


def changes_of(cell: str) -> tuple[str, ...]:
    """Return a cell's changes to the recipe: of its network, and of what follows its name."""
    network, *more = cell.split(" + ")
    return (*CELLS[network], *(change for name in more for change in CHANGES[name]))


def run(cell: str, seed: int, recipe: str, changes: list[str], data: DataSet, work: Path) -> None:
    """Train and evaluate, unless that is done or another process is at it."""
    out = work / f"{cell}-{seed}".replace(" ", "_")
    with claimed(out.with_suffix(".lock")) as mine:
        if not mine or (out / EVALUATION).exists():
            return
        result = train(read_recipe(recipe, changes), data, out, resume=True)
        facts = {
            "cell": cell,
            "seed": seed,
            "architecture": result.architecture,
            "epochs": result.epochs,
            "seconds": result.seconds,
            "precision": result.precision,
            **cost(Run.open(out).description),
        }
        rows = [{**facts, **row} for row in evaluated(Run.open(out), data)]
        write_json(out / EVALUATION, {"rows": rows, "recipe": (out / "config.yaml").read_text()})


def cost(trained: TrainedModel) -> dict[str, float]:
    """Return MACs and parameters."""
    size, classes = trained.preprocess.size, trained.num_classes
    model = Network(name=trained.network.name).build(classes, size, meta=True)
    summary = summarize(model, trained.network.name, size, classes)
    return {"gmacs": summary.gmacs, "params": summary.params}


def evaluated(run: Run, data: DataSet) -> list[dict[str, Any]]:
    """Return a row for each way to make pixels and statistics."""
    own, normalization = run.description.preprocess, run.description.normalization
    ways = {"one step": own.model_copy(update={"view_size": None})}
    if own.view_size is not None:
        ways["two steps"] = own
    rows = []
    for pixels, preprocess in ways.items():
        pictures = {split: prepared_images(data, data.split(split), preprocess) for split in SPLITS}
        for statistics in ("as trained", "measured again"):
            model = run.load()
            if statistics == "measured again":
                reestimate(model, pictures["train"], normalization)
            row: dict[str, Any] = {"pixels": pixels, "statistics": statistics}
            for split in ("val", "test"):
                logits = torch.from_numpy(logits_of(model, pictures[split], normalization, split))
                probabilities, labels = logits.softmax(1).numpy(), labels_of(data.split(split))
                row[split] = accuracy.top_k(probabilities, labels, 1)
                row[f"{split}_ece"] = expected_calibration_error(probabilities, labels)
            # Of the test, which is the last of both: a digit a picture.
            row["right"] = "".join("01"[int(right)] for right in probabilities.argmax(1) == labels)
            rows.append(row)
    return rows


def write(out: Path, work: Path, data: DataSet) -> None:
    """Write what is finished, beside what the file has of other runs on these pictures."""
    done = [json.loads(path.read_text()) for path in sorted(work.glob(f"*/{EVALUATION}"))]
    rows = [row for one in done for row in one["rows"]]
    recipes = {named(one["rows"][0]): one["recipe"] for one in done}
    counts = {split: len(data.split(split)) for split in SPLITS}
    if out.exists():
        before = json.loads(out.read_text())
        rows = [row for row in before["rows"] if named(row) not in recipes] + rows
        recipes = before["recipes"] | recipes
    body: dict[str, Any] = {
        "schema": "edge-fgir/benchmark/1",
        "data": {"name": data.name, "classes": len(data.classes), **counts},
        "rows": rows,
        "recipes": recipes,
        "environment": environment().model_dump(mode="json"),
    }
    write_json(out, body)


def named(row: dict[str, Any]) -> str:
    """Return what a run is called."""
    return f"{row['cell']}, seed {row['seed']}"


if __name__ == "__main__":
    main()
