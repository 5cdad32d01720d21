"""Decisions instead of frames: how often a label changes while a camera shakes.

    .venv/bin/python benchmarks/events.py X.fgir --data photos

makes a clip of each of `--clips` test pictures, drawn at random: a camera that shakes (crop and
scale wander), light that wanders, noise, and JPEG of changing quality, ten frames a second. It
counts how often the label changes from frame to frame, and how often it changes in what
`Classifier.events` tells; and accuracy by frame and by visit, with the score that each visit got,
for several correlations of votes. The clip of a picture follows from `--seed` and its number.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edge_fgir._files import write_json
from edge_fgir._progress import progress
from edge_fgir.benchmarking import environment
from edge_fgir.data import labels_of, open_data
from edge_fgir.runtime import Classifier, EventOptions, Frame, Pixels, Result, Tracker

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "events.json"
FPS, SECONDS = 10, 6
CORRELATIONS = (0.0, 0.5, 0.75, 0.9, 1.0)


def shaken(photo: Pixels, seed: tuple[int, int]) -> Iterator[Pixels]:
    """Yield the frames of a clip of one (H, W, 3) picture, in the channel order that it has."""
    random = np.random.default_rng(seed)
    height, width = photo.shape[:2]
    # Crop centre (x, y), its side, light: each wanders, pulled back to its middle.
    middle = np.array([0.5, 0.5, 0.72, 1.0])
    sway, state = np.array([0.05, 0.05, 0.05, 0.12]), middle.copy()
    for _ in range(FPS * SECONDS):
        state = state + 0.2 * (middle - state) + sway * random.normal(size=4)
        side = float(np.clip(state[2], 0.45, 0.95))
        x, y = np.clip(state[:2], side / 2, 1 - side / 2)
        left, top = round((x - side / 2) * width), round((y - side / 2) * height)
        cut = photo[top : top + round(side * height), left : left + round(side * width)]
        noise = random.normal(scale=random.uniform(2, 14), size=cut.shape)
        lit = np.clip(cut * np.clip(state[3], 0.4, 1.7) + noise, 0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(lit).save(file, "JPEG", quality=int(random.integers(25, 90)))
        yield np.asarray(Image.open(file))


def results_of(model: Classifier, photo: Pixels, seed: tuple[int, int]) -> list[Result]:
    """Return the answers to a clip of an RGB picture."""
    frames = (
        Frame(rgb[..., ::-1], index, index / FPS) for index, rgb in enumerate(shaken(photo, seed))
    )
    return list(model.stream(frames))


@dataclass
class Tally:
    """What is counted of many visits."""

    changes: int = 0
    right: list[bool] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    undecided: int = 0

    def add(self, model: Classifier, results: list[Result], truth: str, correlation: float) -> None:
        """Decide a clip."""
        tracker = Tracker(model.judge, EventOptions(correlation=correlation))
        events = [event for result in results for event in tracker.update(result)]
        events += tracker.finish()
        told = [event.label for event in events if event.state != "ended"]
        self.changes += sum(one != other for one, other in pairwise(told))
        last = events[-1] if events else None
        if last is None or last.is_unknown:
            self.undecided += 1
            return
        self.right.append(last.label == truth)
        self.scores.append(last.score)

    def row(self, correlation: float) -> dict[str, Any]:
        """Return its figures."""
        decided = len(self.right)
        losses = [
            -np.log(max(s if r else 1 - s, 1e-6))
            for r, s in zip(self.right, self.scores, strict=True)
        ]
        return {
            "correlation": correlation,
            "label_changes": self.changes,
            "visits": decided + self.undecided,
            "undecided": self.undecided,
            "right_of_all": round(100 * sum(self.right) / (decided + self.undecided), 2),
            "right_of_decided": round(100 * float(np.mean(self.right)), 2),
            "mean_score": round(100 * float(np.mean(self.scores)), 2),
            "log_loss": round(float(np.mean(losses)), 4),
        }


def main() -> None:
    """Make the clips, ask about them, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", required=True, help="data folder; its test split is used")
    parser.add_argument("--clips", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()

    data = open_data(options.data)
    samples, labels = data.split("test"), labels_of(data.split("test"))
    order = np.random.default_rng(options.seed).permutation(len(samples))[: options.clips]
    raw = {"frames": 0, "right": 0, "unknown": 0, "label_changes": 0}
    tallies = {correlation: Tally() for correlation in CORRELATIONS}
    with Classifier.open(options.bundle) as model, progress("clips", len(order)) as meter:
        for place in order.tolist():
            truth = data.classes[labels[place]]
            results = results_of(model, data.read(samples[place]), (options.seed, place))
            raw["frames"] += len(results)
            raw["right"] += sum(result.label == truth for result in results)
            raw["unknown"] += sum(result.is_unknown for result in results)
            raw["label_changes"] += sum(a.label != b.label for a, b in pairwise(results))
            for correlation, tally in tallies.items():
                tally.add(model, results, truth, correlation)
            meter.advance()
        info = model.info
    body = {
        "schema": "edge-fgir/benchmark/1",
        "model": {
            key: info[key] for key in ("name", "precision", "engine", "image_size", "classes")
        },
        "data": data.info.model_dump(mode="json"),
        "clips": {"number": len(order), "fps": FPS, "seconds": SECONDS, "seed": options.seed},
        "frames": {**raw, "top1": round(100 * raw["right"] / raw["frames"], 2)},
        "visits": [tally.row(correlation) for correlation, tally in tallies.items()],
        "environment": environment().model_dump(mode="json"),
    }
    write_json(options.out, body)
    print(body["frames"])
    for row in body["visits"]:
        print(row)


if __name__ == "__main__":
    main()
