"""What bundles say of pictures that they do not know.

    .venv/bin/python benchmarks/unknown.py birds.fgir=../shared/data/cub_100 \
        groceries.fgir=../shared/data/grocery_store cells.fgir=elpv

asks every bundle about the test split of its own data, about those of the other bundles, and about
noise and flat frames (drawn anew, not those that were drawn at its export). `kept` is the share of
right answers that are not called unknown; beside the rule of the bundle stands what its score alone
would reject if it kept as many. Thresholds are those of the export, from validation pictures; no
test picture was used for them. What the result file has of other bundles stays.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rows import keep

from edge_fgir.data import DataSet, draw_by_class, labels_of, open_data, prepared_images
from edge_fgir.exporting.novelty import made_up
from edge_fgir.runtime import Classifier, Pixels

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "unknown.json"
MOST, SEED = 500, 1
"""Pictures of another set that are asked about; of frames that are made up."""


class Said:
    """What a bundle says of pictures (N, S, S, 3)."""

    def __init__(self, model: Classifier, images: Pixels) -> None:
        answers = [model.observe(image) for image in images]
        probabilities = np.concatenate([each.probabilities for each in answers])
        self.scores, self.classes = probabilities.max(axis=1), probabilities.argmax(axis=1)
        self.unknown = self.scores < model.bundle.calibration.unknown_threshold
        novelty, space = model.bundle.novelty, model.bundle.feature_space
        if novelty is not None and space is not None:
            features = np.concatenate([np.asarray(each.features) for each in answers])
            self.unknown |= space.novelty(features) > novelty.threshold


def asked(path: Path, name: str, data: dict[str, DataSet]) -> dict[str, Any]:
    """Ask one bundle about its own pictures and about all others."""
    with Classifier.open(path) as model:
        preprocess, info = model.bundle.preprocess, model.info
        own = data[name].split("test")
        known = Said(model, prepared_images(data[name], own, preprocess))
        right = known.classes == labels_of(own)
        frames = dict(made_up(preprocess.size, SEED))
        for other in set(data) - {name}:
            samples = draw_by_class(data[other].split("test"), MOST)
            frames[data[other].name] = prepared_images(data[other], samples, preprocess)
        strangers = {kind: Said(model, images) for kind, images in sorted(frames.items())}
    kept = float(1 - known.unknown[right].mean())
    threshold = float(np.quantile(known.scores[right], 1 - kept))
    return {
        "model": info["name"],
        "architecture": model.bundle.manifest.architecture,
        "data": data[name].name,
        "target": info["target"],
        "precision": info["precision"],
        "image_size": info["image_size"],
        "top1": round(100 * float(right.mean()), 1),
        "kept": round(100 * kept, 1),
        "rejected": {
            kind: round(100 * float(said.unknown.mean()), 1) for kind, said in strangers.items()
        },
        "rejected_by_score_alone": {
            kind: round(100 * float((said.scores < threshold).mean()), 1)
            for kind, said in strangers.items()
        },
    }


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundles", nargs="+", metavar="BUNDLE=DATA")
    parser.add_argument("--out", type=Path, default=RESULT, help="result file")
    arguments = parser.parse_args()
    pairs = [each.rsplit("=", 1) for each in arguments.bundles]
    data = {name: open_data(name) for _, name in pairs}
    for bundle, name in pairs:
        row = asked(Path(bundle), name, data)
        print(row, flush=True)
        keep(arguments.out, "bundles", row, ("architecture", "data", "target", "image_size"))


if __name__ == "__main__":
    main()
