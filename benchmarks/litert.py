"""LiteRT beside torch, ONNX Runtime and OpenVINO: milliseconds of one picture, in turns.

    .venv/bin/python benchmarks/litert.py

times networks with random weights (time does not depend on them) in every runtime, in float32 and
INT8, on one thread and on two. All forms of a network take turns in one timing, so a busy machine
slows them alike; medians and minima are printed and kept, with the load that the machine had.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from rows import keep

from edge_fgir.benchmarking import Protocol, WarmUp
from edge_fgir.benchmarking.protocol import time_runs
from edge_fgir.exporting import make_backend, read_target, to_onnx
from edge_fgir.exporting.backends.litert import LiteRtBackend
from edge_fgir.exporting.backends.onnx import OnnxBackend
from edge_fgir.exporting.backends.openvino import OpenVinoBackend
from edge_fgir.exporting.graph import INPUT, DeployGraph, deployed, is_transformer, session_of
from edge_fgir.exporting.target import Scheme, Target
from edge_fgir.exporting.tflite import call_of
from edge_fgir.exporting.timing import awaken
from edge_fgir.models import Network, folded
from edge_fgir.models.batch_norm import reestimate
from edge_fgir.models.reduction import Reduction
from edge_fgir.runtime import Normalization, Pixels
from edge_fgir.runtime.runtimes.litert import open_interpreter
from edge_fgir.runtime.runtimes.openvino import openvino_core

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "litert.json"
NORMALIZATION = Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
CLASSES, CALIBRATION = 100, 16
NETWORKS: dict[str, tuple[str, int, float]] = {
    "LRN14 128 px": ("lrnet14", 128, 1.0),
    "EfficientNet-Lite0 128 px": ("tf_efficientnet_lite0", 128, 1.0),
    "ViTFS-T 224 px": ("vitfs_tiny", 224, 1.0),
    "ViTFS-T 224 px, EViT keeps .5": ("vitfs_tiny", 224, 0.5),
}
LEAST_OVER_TORCH, LEAST_OVER_FLOAT, MOST_SECONDS = 5.5, 2.1, 30.0
"""INT8 against torch (CNNs), against LiteRT's float32 (transformers), on one thread; seconds that
converting and quantizing may take."""

Call = Callable[[], object]


class Timed:
    """A network in all its forms.

    Attributes:
        convert_s: Seconds that litert-torch took.
        quantize_s: Seconds that ai-edge-quantizer took, with calibration.
    """

    def __init__(self, name: str, side: int, keep_rate: float) -> None:
        torch.manual_seed(0)
        reduction = Reduction(method="evit", keep_rate=keep_rate) if keep_rate < 1 else None
        model = Network(name=name, reduction=reduction).build(CLASSES, side).eval()
        awaken(model)
        self.images = _noise(side)
        reestimate(model, self.images, NORMALIZATION)
        self.image = self.images[:1]
        self.network = deployed(folded(model, crop_form="matmul"), NORMALIZATION)
        litert, arm, openvino = (read_target(each) for each in ("litert", "arm", "openvino"))
        began = time.perf_counter()
        self.litert = self._backend(litert)
        self.convert_s = time.perf_counter() - began
        began = time.perf_counter()
        self.litert_int8 = self._int8(self.litert, litert)
        self.quantize_s = time.perf_counter() - began
        self.ort = self._backend(arm)
        self.ort_int8 = self._int8(self.ort, arm)
        self.openvino = self._backend(openvino)
        self.openvino_int8 = self._int8(self.openvino, openvino)

    def _backend(self, target: Target) -> Any:
        graph = self._graph(target)
        self.transformer = is_transformer(graph)
        return make_backend(graph, target, "fp32", self.network)

    def _graph(self, target: Target) -> onnx.ModelProto:
        side = self.image.shape[1]
        return to_onnx(self.network.model, NORMALIZATION, side, target.opset)

    def _int8(self, backend: Any, target: Target) -> Any:
        schemes = target.quantization.transformer if self.transformer else target.quantization.cnn
        scheme: Scheme = next(iter(schemes.values()))
        return backend.quantized(scheme, self.images)

    def calls(self, threads: int) -> dict[str, Call]:
        """Return one inference of each form on so many threads."""
        torch.set_num_threads(threads)
        return {
            "torch": _in_torch(self.network, self.image),
            "ONNX Runtime": _in_onnxruntime(self.ort, self.image, threads),
            "ONNX Runtime INT8": _in_onnxruntime(self.ort_int8, self.image, threads),
            "OpenVINO": _in_openvino(self.openvino, self.image, threads),
            "OpenVINO INT8": _in_openvino(self.openvino_int8, self.image, threads),
            "LiteRT": _in_litert(self.litert, self.image, threads),
            "LiteRT INT8": _in_litert(self.litert_int8, self.image, threads),
        }


def _noise(side: int) -> Pixels:
    drawn = np.random.default_rng(0).integers(0, 256, (CALIBRATION, side // 8, side // 8, 3))
    return drawn.astype(np.uint8).repeat(8, axis=1).repeat(8, axis=2)


def _in_torch(network: DeployGraph, image: Pixels) -> Call:
    pixels = torch.from_numpy(image)

    def call() -> object:
        with torch.inference_mode():
            return network(pixels)

    return call


def _in_onnxruntime(backend: OnnxBackend, image: Pixels, threads: int) -> Call:
    session = session_of(backend.model, threads=threads)
    return lambda: session.run(None, {INPUT: image})


def _in_openvino(backend: OpenVinoBackend, image: Pixels, threads: int) -> Call:
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
    }
    request = openvino_core().compile_model(backend.model, "CPU", options).create_infer_request()
    request.get_input_tensor(0).data[...] = image
    inference: Call = request.infer
    return inference


def _in_litert(backend: LiteRtBackend, image: Pixels, threads: int) -> Call:
    return call_of(open_interpreter(backend.content, threads=threads), image)


def rows_of(title: str, seconds: float) -> Iterator[dict[str, Any]]:
    """Time a network; one row a number of threads."""
    form = Timed(*NETWORKS[title])
    for threads in (1, 2):
        load = os.getloadavg()[0]
        protocol = Protocol(runs=200, seconds=seconds, warm_up=WarmUp(least_s=0.5, most_s=5.0))
        found = time_runs(form.calls(threads), protocol)
        ms = {name: 1e3 * np.asarray(each.seconds) for name, each in found.items()}
        medians = {name: round(float(np.median(each)), 3) for name, each in ms.items()}
        over_torch = round(medians["torch"] / medians["LiteRT INT8"], 2)
        over_float = round(medians["LiteRT"] / medians["LiteRT INT8"], 2)
        aim, reached = (
            (LEAST_OVER_FLOAT, over_float) if form.transformer else (LEAST_OVER_TORCH, over_torch)
        )
        yield {
            "network": title,
            "threads": threads,
            "median_ms": medians,
            "min_ms": {name: round(float(each.min()), 3) for name, each in ms.items()},
            "int8_over_torch": over_torch,
            "int8_over_its_float": over_float,
            "convert_s": round(form.convert_s, 1),
            "quantize_s": round(form.quantize_s, 1),
            "load_1min": round(load, 1),
            "ok": threads > 1
            or (reached >= aim and form.convert_s + form.quantize_s <= MOST_SECONDS),
        }


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--seconds", type=float, default=6.0, help="of timing, each form")
    parser.add_argument("--out", type=Path, default=RESULT, help="result file")
    arguments = parser.parse_args()
    for title in arguments.networks:
        for row in rows_of(title, arguments.seconds):
            print(row, flush=True)
            keep(arguments.out, "latency", row, ("network", "threads"))


if __name__ == "__main__":
    main()
