"""Jetson bundles on an NVIDIA GPU: the same answers as on the CPU, and how fast.

    .venv/bin/python benchmarks/gpu_inference.py X.fgir ... --data ../shared/data/cub_100

asks each bundle's graph about the test split (`--limit` pictures of it) in ONNX Runtime on the CPU,
in ONNX Runtime on the GPU (package onnxruntime-gpu), and through the runtime's own engine for
Jetson, which builds and runs it by TensorRT. What is not installed, or refuses this GPU, says why.
Milliseconds are of one picture from host memory to host memory.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch

from edge_fgir import EdgeFgirError
from edge_fgir._files import write_json
from edge_fgir._progress import progress
from edge_fgir.benchmarking import Protocol, environment, measure
from edge_fgir.data import labels_of, open_data, prepared_images
from edge_fgir.runtime import Bundle, Pixels, open_engine
from edge_fgir.runtime.runtimes.onnxruntime import open_session

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "gpu_inference.json"
SECONDS, RUNS = 2.0, 500

Ask = Callable[[Pixels], np.ndarray]
"""(1, S, S, 3) pixels in, (1, K) probabilities out."""


def cuda(bundle: Bundle) -> Ask:
    """Open the graph in ONNX Runtime on the GPU.

    Raises:
        EdgeFgirError: It has no CUDA, or could not load it and took the CPU.
    """
    provider = "CUDAExecutionProvider"
    if provider not in ort.get_available_providers():
        raise EdgeFgirError(f"this ONNX Runtime ({ort.__version__}) has no {provider}")
    model = bundle.read(bundle.manifest.model_file)
    session = open_session(model, provider=provider)
    if provider not in session.get_providers():
        raise EdgeFgirError(f"{provider} could not be loaded; ONNX Runtime took the CPU instead")
    name, wanted = bundle.manifest.input.name, [bundle.manifest.output.name]

    def ask(pixels: Pixels) -> np.ndarray:
        answer: np.ndarray = session.run(wanted, {name: pixels})[0]
        return answer

    return ask


RUNTIMES: dict[str, Callable[[Bundle], Ask]] = {
    "ONNX Runtime CPU": lambda bundle: open_engine(bundle, "cpu").infer,
    "ONNX Runtime CUDA": cuda,
    "TensorRT": lambda bundle: open_engine(bundle).infer,
}
"""The first is what the others are compared with."""


def answers_of(ask: Ask, pixels: Pixels, title: str) -> np.ndarray:
    """Return the probabilities of all pictures, (N, K), asked one by one."""
    answers = []
    with progress(title, len(pixels)) as meter:
        for place in range(len(pixels)):
            answers.append(ask(pixels[place : place + 1])[0])
            meter.advance()
    return np.stack(answers)


def rows_of(bundle: Bundle, pixels: Pixels, labels: np.ndarray) -> Iterator[dict[str, Any]]:
    """Ask each runtime."""
    manifest = bundle.manifest
    expected: np.ndarray | None = None
    for runtime, opened in RUNTIMES.items():
        row: dict[str, Any] = {
            "bundle": bundle.path.name,
            "architecture": manifest.architecture,
            "precision": manifest.precision,
            "image_size": manifest.input.shape[1],
            "runtime": runtime,
        }
        try:
            ask = opened(bundle)
            found = answers_of(ask, pixels, f"{bundle.path.name}, {runtime}")
        except Exception as error:  # each runtime has errors of its own, and each is a result
            if expected is None:
                raise
            yield {**row, "refused": str(error).strip().splitlines()[0]}
            continue
        expected = found if expected is None else expected
        latency = measure({runtime: partial(ask, pixels[:1])}, Protocol(seconds=SECONDS, runs=RUNS))
        yield {
            **row,
            "top1": 100 * float((found.argmax(1) == labels).mean()),
            "agreement": 100 * float((found.argmax(1) == expected.argmax(1)).mean()),
            "max_difference": float(np.abs(found - expected).max()),
            "p50_ms": latency[runtime].p50_ms,
            "p90_ms": latency[runtime].p90_ms,
        }


def show(row: dict[str, Any]) -> None:
    """Print one line of the table."""
    what = f"{row['bundle']:30} {row['precision']:5} {row['runtime']:18}"
    if "refused" in row:
        print(f"{what} refused: {row['refused']}", flush=True)
        return
    print(
        f"{what} top-1 {row['top1']:6.2f} %, agreement {row['agreement']:6.2f} %, "
        f"max difference {row['max_difference']:.1e}, p50 {row['p50_ms']:.3f} ms, "
        f"p90 {row['p90_ms']:.3f} ms",
        flush=True,
    )


def main() -> None:
    """Ask, print and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundles", nargs="+", type=Path, metavar="X.fgir")
    parser.add_argument("--data", required=True, help="folder with train and test")
    parser.add_argument("--limit", type=int, help="pictures, evenly over the test split")
    parser.add_argument("--out", type=Path, default=RESULT, help="result file")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("needs an NVIDIA GPU")
    data = open_data(options.data)
    samples = list(data.split("test"))
    if options.limit:
        samples = samples[:: max(1, len(samples) // options.limit)]
    rows = []
    for path in options.bundles:
        bundle = Bundle(path)
        pixels = prepared_images(data, samples, bundle.preprocess)
        for row in rows_of(bundle, pixels, labels_of(samples)):
            show(row)
            rows.append(row)
    body = {"schema": "edge-fgir/benchmark/1", "data": data.name, "pictures": len(samples)}
    gpu = torch.cuda.get_device_name()
    write_json(
        options.out,
        {**body, "gpu": gpu, "rows": rows, "environment": environment().model_dump(mode="json")},
    )


if __name__ == "__main__":
    main()
