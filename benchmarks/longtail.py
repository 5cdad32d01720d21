"""Samplers and losses for long-tailed data at equal epochs, several seeds, on solar cells.

    .venv/bin/python benchmarks/longtail.py --work runs/longtail --out longtail.json

trains every cell of `CELLS` for every seed and evaluates it on the test split: top-1 over images,
macro over classes, and by shot group. Post-hoc logit adjustment, with the tau that is best on val,
is evaluated on the runs of plain cross-entropy. Of the first of those, bundles with and without the
adjustment stand beside torch. Finished runs are reused, interrupted ones resumed.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Literal

import numpy as np
import torch
from tgda import first_classes

from edge_fgir._files import write_json
from edge_fgir.benchmarking import environment
from edge_fgir.data import DataSet, Split, labels_of, open_data, prepared_images
from edge_fgir.data.statistics import ClassSizes
from edge_fgir.evaluation import GROUPS, Shots, SingleLabel, drop_interval
from edge_fgir.exporting import ExportOptions, export, read_target
from edge_fgir.models.inference import logits_of
from edge_fgir.models.logit_adjustment import adjustment, best_tau
from edge_fgir.runs import Run
from edge_fgir.runtime import Classifier
from edge_fgir.training import read_recipe, train

EVALUATION = "test.json"
PLAIN, POST_HOC = "ce", "ce, adjusted afterwards"
CELLS: dict[str, tuple[str, ...]] = {
    PLAIN: (),
    "ce+class_balanced": ("data.sampler=class_balanced",),
    "ce+square_root": ("data.sampler=square_root",),
    "focal": ("loss.classification=focal",),
    "logit_adjusted-0.5": ("loss.classification=logit_adjusted", "loss.logit_adjustment=0.5"),
    "balanced_softmax": ("loss.classification=balanced_softmax",),
    "ldam": ("loss.classification=ldam", "loss.ldam_margin=3"),
    "class_balanced": ("loss.classification=class_balanced",),
    "class_balanced, deferred": ("loss.classification=class_balanced", "loss.deferred=0.8"),
    "normalized": ("normalized_classifier=true",),
    "classifier again": (
        "method=probe",
        "epochs=0",
        "model.weights={plain}",
        "loss.classification=class_balanced",
        "loss.effective_beta=1",
    ),
}
"""What is compared: changes to the recipe with plain cross-entropy, whose weights are ``plain``."""

METRICS = ("top1", "macro", "macro_f1", "worst_decile", *GROUPS)
TARGETS = ("openvino", "arm")
MOST_DROP = 1.0
"""Points of top-1 that INT8 may cost."""


def main() -> None:
    """Train what is missing, export, print the table and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="elpv")
    parser.add_argument("--classes", type=int, default=0, help="only the first N classes")
    parser.add_argument(
        "--zipf", type=float, default=0.0, help="thin the k-th class out to its 1 / k^ZIPF"
    )
    parser.add_argument("--recipe", default="elpv-longtail")
    parser.add_argument("--work", type=Path, required=True, help="folder for the run folders")
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--set", action="append", default=[], help="change to the recipe")
    parser.add_argument("--many", type=int, default=200, help="more training pictures: many")
    parser.add_argument("--few", type=int, default=50, help="fewer training pictures: few")
    parser.add_argument("--table", action="store_true", help="train and export nothing")
    parser.add_argument("--out", type=Path, help="result file")
    options = parser.parse_args()
    data = first_classes(open_data(options.data), options.classes)
    if options.zipf:
        data = thinned(data, options.zipf)
    shots = Shots(tuple(data.counts("train")), options.many, options.few)
    for seed in () if options.table else options.seeds:
        for cell in options.cells:
            plain = Run(options.work / f"{PLAIN}-{seed}").averaged_weights
            own = [change.format(plain=plain) for change in CELLS[cell]]
            changes = ["loss.classification=ce", *options.set, *own, f"seed={seed}"]
            run(options.recipe, changes, data, options.work / f"{cell}-{seed}", shots)
    known = json.loads(options.out.read_text()) if options.out and options.out.exists() else {}
    bundles = known.get("bundles", [])
    first = options.work / f"{PLAIN}-{options.seeds[0]}"
    if not options.table and (first / EVALUATION).exists():
        bundles = exported(first, data, shots)
    body = table(options.work, data, shots, bundles)
    show(body)
    if options.out:
        write_json(options.out, {**body, "environment": environment().model_dump(mode="json")})


def thinned(data: DataSet, exponent: float) -> DataSet:
    """Keep of each class's training pictures as many as Zipf's law leaves, at least two."""
    counts, taken = data.counts("train"), [0] * len(data.classes)
    kept = []
    for sample in data.split("train"):
        if taken[sample.label] < max(counts[sample.label] / (sample.label + 1) ** exponent, 2):
            taken[sample.label] += 1
            kept.append(sample)
    name = f"{data.name}, thinned by Zipf's law with exponent {exponent:g}"
    splits = {**data.splits, "train": tuple(kept)}
    return DataSet(name, data.licence, data.classes, splits, data.strict)


def run(recipe: str, changes: list[str], data: DataSet, out: Path, shots: Shots) -> None:
    """Train and evaluate, unless that is done."""
    if (out / EVALUATION).exists():
        return
    train(read_recipe(recipe, changes), data, out, resume=True)
    logits, labels = answers(out, data, "test")
    found = {"as trained": metrics(logits, labels, data, shots)}
    if out.name.startswith(f"{PLAIN}-"):
        tau = best_tau(*answers(out, data, "val"), shots.train_counts)
        adjusted = logits + adjustment(shots.train_counts, tau)
        found["adjusted"] = {"tau": tau, **metrics(adjusted, labels, data, shots)}
    write_json(out / EVALUATION, found)


def answers(run: Path, data: DataSet, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Return a run's logits on a split, and the labels."""
    opened = Run.open(run)
    trained, model = opened.description, opened.load()
    samples = data.split(split)
    images = prepared_images(data, samples, trained.preprocess)
    logits = logits_of(model, images, trained.normalization, f"{run.name} {split}")
    return logits, labels_of(samples)


def metrics(
    logits: np.ndarray, labels: np.ndarray, data: DataSet, shots: Shots
) -> dict[str, float | None]:
    """Return the metrics that are compared, percent."""
    probabilities = torch.from_numpy(logits).softmax(1).numpy()
    figures = SingleLabel().figures(probabilities, labels, data.classes, shots)
    groups = {group.group: group.top1 for group in figures.shots}
    return {name: groups[name] if name in groups else getattr(figures, name) for name in METRICS}


def exported(run: Path, data: DataSet, shots: Shots) -> list[dict[str, Any]]:
    """Export a run as INT8, as it is and adjusted, and compare the bundles with torch."""
    logits, labels = answers(run, data, "test")
    wishes: tuple[Literal["auto"] | None, ...] = (None, "auto")
    rows = []
    for name in TARGETS:
        for wanted in wishes:
            out = run / f"{name}-{wanted}.fgir"
            target = read_target(name).allowing(MOST_DROP)
            bundle = export(
                run, target, data, out, ExportOptions(precision="int8", logit_adjustment=wanted)
            )
            tau = bundle.report("accuracy")["logit_adjustment"]
            own = logits if tau is None else logits + adjustment(shots.train_counts, tau)
            with Classifier.open(out) as model:
                images = prepared_images(data, data.split("test"), model.bundle.preprocess)
                probabilities = np.concatenate([model.infer(image[None]) for image in images])
            right, kept = own.argmax(1) == labels, probabilities.argmax(1) == labels
            found = metrics(np.log(np.maximum(probabilities, 1e-30)), labels, data, shots)
            rows.append(
                {
                    "target": name,
                    "precision": bundle.manifest.precision,
                    "tau": tau,
                    "torch": metrics(own, labels, data, shots),
                    "bundle": found,
                    "agreement": float(100 * (own.argmax(1) == probabilities.argmax(1)).mean()),
                    "top1_drop": float(100 * (right.mean() - kept.mean())),
                    "drop_interval": list(drop_interval(right, kept)),
                }
            )
    return rows


def table(work: Path, data: DataSet, shots: Shots, bundles: list[dict[str, Any]]) -> dict[str, Any]:
    """Collect what is finished."""
    runs = []
    for path in sorted(work.glob(f"*/{EVALUATION}")):
        cell, _, seed = path.parent.name.rpartition("-")
        summary = json.loads(Run(path.parent).summary.read_text())
        about = {key: summary[key] for key in ("architecture", "epochs", "seconds", "precision")}
        found = json.loads(path.read_text())
        recipe = (path.parent / "config.yaml").read_text()
        runs.append(
            {"cell": cell, "seed": int(seed), **found["as trained"], **about, "recipe": recipe}
        )
        if "adjusted" in found:
            runs.append({"cell": POST_HOC, "seed": int(seed), **found["adjusted"], **about})
    cells = []
    for cell in dict.fromkeys([*CELLS, POST_HOC]):
        own = [run for run in runs if run["cell"] == cell]
        if own:
            cells.append({"cell": cell, "seeds": len(own), **_mean(own)})
    return {
        "schema": "edge-fgir/benchmark/1",
        "data": {
            "name": data.name,
            **{split: len(samples) for split, samples in data.splits.items()},
            "train_counts": dict(zip(data.classes, shots.train_counts, strict=True)),
            "train_sizes": asdict(ClassSizes.of(shots.train_counts)),
            "groups": {
                name: {"train_images": shots.ranges[name], "classes": shots.groups.count(name)}
                for name in GROUPS
            },
        },
        "cells": cells,
        "bundles": bundles,
        "runs": runs,
    }


def _mean(runs: list[dict[str, Any]]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name in METRICS:
        values = [run[name] for run in runs if run[name] is not None]
        found[name] = mean(values) if values else None
        found[f"{name}_sd"] = stdev(values) if len(values) > 1 else None
    return found


def show(body: dict[str, Any]) -> None:
    """Print the tables."""
    groups = body["data"]["groups"]
    print(f"{body['data']['name']}: {body['data']['test']} test images; {groups}")
    shown = ("top1", "macro", *GROUPS)
    print(f"{'':26}" + "".join(f"{name:>16}" for name in shown) + f"{'seeds':>7}")
    for cell in body["cells"]:
        values = "".join(f"{_shown(cell, name):>16}" for name in shown)
        print(f"{cell['cell']:26}{values}{cell['seeds']:7}")
    for row in body["bundles"]:
        print(
            f"{row['target']} {row['precision']}, tau {row['tau']}: top-1 "
            f"{row['bundle']['top1']:.2f} (torch {row['torch']['top1']:.2f}), macro "
            f"{row['bundle']['macro']:.2f} ({row['torch']['macro']:.2f}), agreement "
            f"{row['agreement']:.2f} %"
        )


def _shown(cell: dict[str, Any], name: str) -> str:
    if cell[name] is None:
        return "-"
    spread = cell[f"{name}_sd"]
    return f"{cell[name]:.1f}" + ("" if spread is None else f" +- {spread:.1f}")


if __name__ == "__main__":
    main()
