"""CLCA beside its base, fairly: the same backbone, a new head in every arm, cross-entropy.

    .venv/bin/python benchmarks/clca.py --shared ../shared/data --work runs/clca \
        --out benchmarks/results/clca.json

A small vision transformer with a class token and LayerNorm learns birds 31 to 100. From its weights
every cell goes on for 50 epochs with a new head, on birds 1 to 30 or on groceries, by the recipe
`clca-224` at 128 px: EViT at a keep rate, alone, with CLA, with CLC, and with both (arXiv
2501.00243). A fifth of the pictures that are not the test's is set aside. On it the learning rate
of every arm is chosen, for all of its keep rates together, by seed 0 at those of `CHOSEN_AT`; the
test is asked about finished cells alone. Finished runs are reused and interrupted ones resumed;
start the script twice, with OMP_NUM_THREADS=1, to use two cores. `--write` trains nothing.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from tgda import claimed, first_classes, with_fifth_aside

from edge_fgir._files import write_json
from edge_fgir.benchmarking import environment
from edge_fgir.data import SPLITS, DataSet, Sample, Split, labels_of, open_data, prepared_images
from edge_fgir.evaluation import accuracy
from edge_fgir.models import logits_of, summarize
from edge_fgir.runs import Run
from edge_fgir.training import read_recipe, train

EVALUATION = "evaluation.json"
RECIPE = "clca-224"
SIDE = 128
NEVER = 1_000_000
LEARNED = 30
"""Birds to learn; the backbone knows the others."""
SETS = {"cub_100": LEARNED, "grocery_store": 20}
"""Data to learn, and how many of its first classes."""

ARMS: dict[str, dict[str, Any]] = {
    "base": {},
    "CLA": {"cla": True},
    "CLC": {"clr_tokens": 1},
    "CLA and CLC": {"cla": True, "clr_tokens": 1},
}
KEEP_RATES = (1.0, 0.5, 0.25, 0.1)
CHOSEN_AT = (1.0, 0.25)
RATES = (3e-4, 1e-3, 3e-3)
"""Learning rates to choose from; the recipe's is for a ViT-B that knows ImageNet."""

NETWORK = (
    "model.name=vit_tiny_patch16_224",
    "model.options={embed_dim: 64, num_heads: 2}",
    f"eval.image_size={SIDE}",
    f"data.view_size={SIDE}",
    "data.with_val=false",
    "data.workers=0",
    "precision=auto",
    f"eval.every_epochs={NEVER}",
)
BACKBONE = (
    "model.weights=random",
    "model.reduction=null",
    "optimizer.lr=1e-3",
    "optimizer.warmup_epochs=5",
    "data.trivial_augment=true",
    "loss.label_smoothing=0.1",
)


def main() -> None:
    """Train what is missing and write what is finished."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--work", type=Path, required=True, help="folder for the run folders")
    parser.add_argument("--data", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--keep-rates", nargs="+", type=float, default=list(KEEP_RATES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--backbone-epochs", type=int, default=100)
    parser.add_argument("--write", action="store_true", help="train nothing")
    parser.add_argument("--out", type=Path, help="result file")
    options = parser.parse_args()
    sets = {
        name: with_fifth_aside(first_classes(open_data(str(options.shared / name)), SETS[name]))
        for name in options.data
    }
    if not options.write:
        backbone = options.work / "backbone"
        others = other_birds(open_data(str(options.shared / "cub_100")))
        changes = [*NETWORK, *BACKBONE, f"epochs={options.backbone_epochs}"]
        run(backbone, changes, others, ("val",), wait=True)
        start = [f"model.weights={Run.open(backbone).weights}", f"epochs={options.epochs}"]
        for name, data in sets.items():
            cells = list(product(options.seeds, options.keep_rates, options.arms))
            learn(data, options.work / name, start, options.arms, cells)
    if options.out:
        write(options.out, options.work, sets)


def other_birds(data: DataSet) -> DataSet:
    """Return the birds that are not to be learned, but for their test pictures."""
    splits: Any = {
        split: tuple(
            Sample(s.path, s.label - LEARNED) for s in data.split(split) if s.label >= LEARNED
        )
        for split in ("train", "val")
    }
    return DataSet("other birds", data.licence, data.classes[LEARNED:], splits, data.strict)


def learn(
    data: DataSet,
    work: Path,
    start: list[str],
    arms: list[str],
    cells: list[tuple[int, float, str]],
) -> None:
    """Choose a learning rate for each arm, and train its cells by it."""
    trials = list(product(arms, CHOSEN_AT, RATES))
    for wait in (False, True):  # what another process is at is waited for when all is begun
        for arm, keep, rate in trials:
            changes = [*start, *changes_of(arm, keep, rate, seed=0)]
            run(work / named(arm, keep, rate, 0), changes, data, ("val",), wait=wait)
    chosen = {arm: best_rate(work, arm) for arm in arms}
    for seed, keep, arm in cells:
        changes = [*start, *changes_of(arm, keep, chosen[arm], seed)]
        run(work / named(arm, keep, chosen[arm], seed), changes, data, ("val", "test"))


def changes_of(arm: str, keep: float, rate: float, seed: int) -> list[str]:
    """Return a cell's changes to the recipe."""
    reduction = {"method": "evit", "keep_rate": keep, "cla": False, "clr_tokens": 0, **ARMS[arm]}
    return [
        *NETWORK,
        f"model.reduction={json.dumps(reduction)}",
        f"optimizer.lr={rate:g}",
        f"seed={seed}",
    ]


def named(arm: str, keep: float, rate: float, seed: int) -> str:
    """Return the name of a run's folder."""
    return f"{arm}-{keep:g}-{rate:g}-{seed}".replace(" ", "_")


def best_rate(work: Path, arm: str) -> float:
    """Return the learning rate at which an arm is best on the pictures set aside."""

    def val(rate: float) -> float:
        runs = (work / named(arm, keep, rate, 0) / EVALUATION for keep in CHOSEN_AT)
        return mean(float(json.loads(path.read_text())["val"]) for path in runs)

    return max(RATES, key=val)


def run(
    out: Path, changes: list[str], data: DataSet, splits: tuple[Split, ...], *, wait: bool = False
) -> None:
    """Train and evaluate on ``splits``, unless that is done or another process is at it."""
    with claimed(out.with_suffix(".lock"), wait=wait) as mine:
        known = json.loads((out / EVALUATION).read_text()) if (out / EVALUATION).exists() else {}
        missing = [split for split in splits if split not in known]
        if not mine or not missing:
            return
        result = train(read_recipe(RECIPE, changes), data, out, resume=True)
        trained = Run.open(out)
        own = trained.description
        model = trained.load()
        summary = summarize(model, own.network.name, own.preprocess.size, own.num_classes)
        known |= {
            "epochs": result.epochs,
            "seconds": result.seconds,
            "precision": result.precision,
            "mmacs": 1000 * summary.gmacs,
        }
        for split in missing:
            pictures = prepared_images(data, data.split(split), own.preprocess)
            logits = torch.from_numpy(logits_of(model, pictures, own.normalization, split))
            probabilities, labels = logits.softmax(1).numpy(), labels_of(data.split(split))
            known[split] = accuracy.top_k(probabilities, labels, 1)
            right = probabilities.argmax(1) == labels
            known[f"{split}_right"] = "".join("01"[int(each)] for each in right)
        write_json(out / EVALUATION, known)


def write(out: Path, work: Path, sets: dict[str, DataSet]) -> None:
    """Write what is finished; what an earlier call wrote of other data stays."""
    body: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {"sets": {}}
    for name, data in sets.items():
        cells, trials = [], []
        for arm, keep, rate, seed in product(ARMS, KEEP_RATES, RATES, range(10)):
            path = work / name / named(arm, keep, rate, seed)
            if not (path / EVALUATION).exists():
                continue
            known = json.loads((path / EVALUATION).read_text())
            facts: dict[str, Any] = {"arm": arm, "keep_rate": keep, "lr": rate, "seed": seed}
            if seed == 0 and keep in CHOSEN_AT:
                trials.append({**facts, "val": known["val"]})
            if "test" in known:
                kept = {k: v for k, v in known.items() if k != "val_right"}
                kept["right"] = kept.pop("test_right")
                cells.append(facts | kept)
        body["sets"][name] = {
            "name": data.name,
            "classes": len(data.classes),
            **{str(split): len(data.split(split)) for split in SPLITS},
            "trials": trials,
            "rows": cells,
        }
    backbone = json.loads((work / "backbone" / EVALUATION).read_text())
    body |= {
        "schema": "edge-fgir/benchmark/1",
        "backbone": {
            "val": backbone["val"],
            "epochs": backbone["epochs"],
            "recipe": (work / "backbone" / "config.yaml").read_text(),
        },
        "environment": environment().model_dump(mode="json"),
    }
    write_json(out, body)


if __name__ == "__main__":
    main()
