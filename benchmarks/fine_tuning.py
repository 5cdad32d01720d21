"""How a pretrained network is fine-tuned at one size: what ``fit`` does against the usual way.

    .venv/bin/python benchmarks/fine_tuning.py --shared ../shared/data --work runs/tuning

`benchmarks/fit.py` compares whole bundles within a latency, which takes an idle machine. This one
compares the trainings alone, EfficientNet-Lite0 from ImageNet weights at one size, whose latency is
the same in every cell, all in torch's float32:

- ``plain``: all layers by AdamW at 5e-4, BatchNorm of batches, a new head: what a user would do;
- ``head``: a head on frozen features;
- ``tuned``: from that head on, by the recipe that `fit` makes of the pictures and the epochs;
- ``taught``: the same under the soft labels of a head at 192 px.

Differences from ``plain`` and from ``head`` are of the same test pictures, which choose nothing;
their intervals are bootstrapped over them. Finished cells are found again, so that the script goes
on where it was stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fit import EPOCHS, accuracy, data_of, lead, of_run, plain_run
from rows import keep

from edge_fgir.data import DataSet, labels_of
from edge_fgir.fitting.networks import PRETRAINED, Candidate
from edge_fgir.fitting.recipes import Guide, Recipes
from edge_fgir.runs import Run
from edge_fgir.training import train

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "fine_tuning.json"
SETS = ("cub_100-30", "elpv", "grocery_store")
TAUGHT_BY = 192


def cells_of(data: DataSet, size: int, epochs: int, work: Path) -> dict[str, Run]:
    """Train what is missing, and return the runs."""
    recipes = Recipes(len(data.split("train")), balanced=data.name == "elpv")
    candidate = Candidate(PRETRAINED[0], size)

    def fitted(name: str, guide: Guide | None) -> Run:
        recipe = recipes.training(candidate, epochs, start=start.weights, guide=guide)
        train(recipe, data, work / name, resume=True)
        return Run.open(work / name)

    def headed(side: int) -> Run:
        out = work / f"head-{side}"
        train(recipes.probe(Candidate(PRETRAINED[0], side)), data, out, resume=True)
        return Run.open(out)

    plain, start = plain_run(data, size, work / "plain", epochs), headed(size)
    guide = Guide(headed(TAUGHT_BY).path, TAUGHT_BY)
    return {
        "plain": plain,
        "head": start,
        "tuned": fitted("tuned", None),
        "taught": fitted("taught", guide),
    }


def row_of(name: str, size: int, epochs: int, work: Path, shared: Path) -> dict[str, Any]:
    """Return one row: a data set."""
    data, macro = data_of(name, shared), name == "elpv"
    runs = cells_of(data, size, epochs, work / f"{name}-{size}")
    said = {cell: of_run(run, data) for cell, run in runs.items()}
    labels = labels_of(data.split("test"))
    return {
        "data": name,
        "image_size": size,
        "epochs": epochs,
        "images": len(labels),
        "judged_by": "macro" if macro else "top1",
        "cells": {
            cell: {
                "accuracy": round(accuracy(answers, labels, macro=macro), 2),
                **{
                    f"over_{other}": lead(answers, said[other], labels, macro=macro)
                    for other in ("plain", "head")
                    if other != cell
                },
            }
            for cell, answers in said.items()
        },
    }


def main() -> None:
    """Train what is missing, and write and print the rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--work", type=Path, default=Path("runs/tuning"))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--out", type=Path, default=RESULT, help="result file")
    arguments = parser.parse_args()
    for name in arguments.sets:
        row = row_of(name, arguments.size, arguments.epochs, arguments.work, arguments.shared)
        keep(arguments.out, "rows", row, ("data", "image_size", "epochs"))
        print(row, flush=True)


if __name__ == "__main__":
    main()
