"""What learning from pictures that were sampled without antialias buys, and costs.

    .venv/bin/python benchmarks/resampling.py --shared ../shared/data --work runs/resampling

EfficientNet-Lite0 is fine-tuned from one head on its frozen features, as `fit` does, with
`data.resample_jitter` at 0 and at the share that is asked for, over seeds. Each run is tested on
the pixels that its bundle makes, and on those that other programs hand over: sampled at the model's
size (OpenCV's default), sampled at 224 pixels first (Frigate), and all of crops of 48 pixels, as
cameras cut them out of a frame. Test pictures choose nothing. Finished runs are found again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from fit import data_of
from rows import keep

from edge_fgir.data import DataSet, labels_of
from edge_fgir.fitting.networks import PRETRAINED, Candidate
from edge_fgir.fitting.recipes import Recipes
from edge_fgir.models import logits_of
from edge_fgir.runs import Run
from edge_fgir.runtime import Pixels, Preprocess
from edge_fgir.training import train

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "resampling.json"
OTHERS_SIDE, CROP_SIDE = 224, 48

Way = Callable[[Pixels], Pixels]


def sampled(side: int, pixels: Pixels) -> Pixels:
    """Return a square picture, resized without antialias."""
    return Preprocess(size=side, antialias=False).apply(pixels)


def ways_of(own: Preprocess) -> dict[str, Way]:
    """Return how a picture reaches the model, by name."""
    crop = Preprocess(size=CROP_SIDE).apply
    ways: dict[str, Way] = {
        "the bundle's own": own.apply,
        f"sampled at {own.size} px": partial(sampled, own.size),
        f"sampled at {OTHERS_SIDE} px first": lambda pixels: own.apply(
            sampled(OTHERS_SIDE, pixels)
        ),
    }
    small: dict[str, Way] = {
        f"{name}, of crops of {CROP_SIDE} px": lambda pixels, way=way: way(crop(pixels))  # type: ignore[misc]
        for name, way in ways.items()
    }
    return ways | small


def row_of(data: DataSet, size: int, epochs: int, share: float, seed: int, work: Path) -> Any:
    """Return one row: a training, tested in every way."""
    recipes = Recipes(len(data.split("train")), balanced=False)
    candidate = Candidate(PRETRAINED[0], size)
    head = work / f"head-{size}"
    train(recipes.probe(candidate), data, head, resume=True)
    recipe = recipes.training(candidate, epochs, start=Run.open(head).weights, guide=None)
    pictures = recipe.data.model_copy(update={"resample_jitter": share})
    recipe = recipe.model_copy(update={"data": pictures, "seed": seed})
    run = work / f"{size}-{epochs}-{share:g}-{seed}"
    train(recipe, data, run, resume=True)
    trained = Run.open(run)
    model, described = trained.load(), trained.description
    labels, samples = labels_of(data.split("test")), data.split("test")
    found = {}
    for name, way in ways_of(described.preprocess).items():
        images = np.stack([way(data.read(sample)) for sample in samples])
        logits = logits_of(model, images, described.normalization, name)
        found[name] = round(float(100 * np.mean(logits.argmax(axis=1) == labels)), 2)
    return {
        "data": data.name,
        "image_size": size,
        "epochs": epochs,
        "share": share,
        "seed": seed,
        "images": len(labels),
        "top1": found,
    }


def main() -> None:
    """Train what is missing, and write and print the rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--work", type=Path, default=Path("runs/resampling"))
    parser.add_argument("--set", default="cub_100-30", help="cub_100-30, cub_100 or grocery_store")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--shares", nargs="+", type=float, default=[0.0, 0.5])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=RESULT, help="result file")
    given = parser.parse_args()
    data = data_of(given.set, given.shared)
    for seed in given.seeds:
        for share in given.shares:
            work = given.work / given.set
            row = row_of(data, given.size, given.epochs, share, seed, work)
            keep(given.out, "rows", row, ("data", "image_size", "epochs", "share", "seed"))
            print(row, flush=True)


if __name__ == "__main__":
    main()
