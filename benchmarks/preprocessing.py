"""What it takes to bring a camera's frame to a model's input, and what blocks change of it.

    .venv/bin/python benchmarks/preprocessing.py ../shared/data/cub_100 ../shared/data/grocery_store

times frames of 720p, 1080p and 4K on one thread, all ways in turns: by blocks, by the kernel over
every pixel (earlier bundles), and by OpenCV, where it is installed, which is hand-written code's
usual choice. Then it compares blocks and kernel on photographs, in grey levels.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edge_fgir._files import write_json
from edge_fgir.benchmarking import environment
from edge_fgir.data import DataSet, draw_by_class, open_data
from edge_fgir.runtime import Kernel, Pixels, Preprocess
from edge_fgir.runtime.block_means import block_of

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "preprocessing.json"
FRAMES = {"720p": (720, 1280), "1080p": (1080, 1920), "4K": (2160, 3840)}
SIDES = (64, 128, 224, 260)
KERNELS: tuple[Kernel, ...] = ("bilinear", "bicubic")
RATIOS = (2.8, 3.2, 4.0, 5.6, 8.5)
"""Sides of a photograph over the model's."""
PICTURES = 200
Way = Callable[[Pixels], object]


def ways(side: int) -> dict[str, Way]:
    """Return all ways to a square of ``side`` pixels, by name."""
    found: dict[str, Way] = {}
    for kernel in KERNELS:
        found[f"blocks, {kernel}"] = Preprocess(size=side, kernel=kernel, shrink="blocks").apply
        found[f"kernel alone, {kernel}"] = Preprocess(size=side, kernel=kernel).apply
    try:
        import cv2
    except ImportError:
        return found
    cv2.setNumThreads(1)
    for name, flag in ("area", cv2.INTER_AREA), ("linear", cv2.INTER_LINEAR):
        found[f"OpenCV, {name}"] = partial(cv2.resize, dsize=(side, side), interpolation=flag)
    return found


def timed(frame: Pixels, side: int, seconds: float) -> dict[str, dict[str, float]]:
    """Return what each way takes, in turns, milliseconds."""
    calls = ways(side)
    taken: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(taken["blocks, bilinear"]) < 5:
        for name, call in calls.items():
            start = time.perf_counter()
            call(frame)
            taken[name].append((time.perf_counter() - start) * 1e3)
    return {
        name: {
            "min_ms": round(min(each), 3),
            "median_ms": round(float(np.median(each)), 3),
            "turns": len(each),
        }
        for name, each in taken.items()
    }


def speed(seconds: float) -> list[dict[str, Any]]:
    """Time all frames and sides."""
    rows = []
    for name, (height, width) in FRAMES.items():
        frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        for side in SIDES:
            row: dict[str, Any] = {
                "frame": name,
                "side": side,
                "block": block_of(height, width, side),
                "load": os.getloadavg()[0],
                "ways": timed(frame, side, seconds),
            }
            fast = row["ways"]["blocks, bilinear"], row["ways"]["kernel alone, bilinear"]
            print(name, side, "min", *(f"{each['min_ms']:.2f} ms" for each in fast), flush=True)
            rows.append(row)
    return rows


def difference(photos: Sequence[Pixels], ratio: float, kernel: Kernel) -> dict[str, Any]:
    """Compare both ways on photographs ``ratio`` times as large as the model's input."""
    means, high, shifts = [], [], []
    for photo in photos:
        settings: dict[str, Any] = {"size": int(min(photo.shape[:2]) / ratio), "kernel": kernel}
        made = [
            Preprocess(**settings, shrink=shrink).apply(photo).astype(int)
            for shrink in ("kernel", "blocks")
        ]
        levels = made[1] - made[0]
        means.append(np.abs(levels).mean())
        high.append(np.percentile(np.abs(levels), 99))
        shifts.append(levels.mean())
    return {
        "ratio": ratio,
        "kernel": kernel,
        "mean": round(float(np.mean(means)), 3),
        "worst_photo": round(float(np.max(means)), 3),
        "p99": round(float(np.mean(high)), 2),
        "brightness": round(float(np.mean(shifts)), 3),
    }


def differences(data: DataSet) -> list[dict[str, Any]]:
    """Compare both ways on photographs of a data set."""
    photos = [data.read(sample) for sample in draw_by_class(data.split("test"), PICTURES)]
    rows = [difference(photos, ratio, kernel) for ratio in RATIOS for kernel in KERNELS]
    for row in rows:
        print(data.name, *(f"{key} {value}" for key, value in row.items()), flush=True)
    return [{"data": data.name, "photos": len(photos), **row} for row in rows]


def main() -> None:
    """Measure and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="*", help="data sets whose photographs are compared")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each frame and side")
    arguments = parser.parse_args()
    result = {
        "schema": "edge-fgir/benchmark/1",
        "speed": speed(arguments.seconds),
        "grey_levels": [row for path in arguments.data for row in differences(open_data(path))],
        "environment": environment().model_dump(mode="json"),
    }
    write_json(RESULT, result)


if __name__ == "__main__":
    main()
