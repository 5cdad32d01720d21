"""What INT8 costs mobile networks, and what it gives, on every target.

    edge-fgir train benchmarks/decisions/lite0.yaml --data ../shared/data/cub_100 --out runs/lite0
    .venv/bin/python benchmarks/mobile_int8.py --model runs/lite0 ../shared/data/cub_100

quantizes a trained run by every INT8 scheme of every target and compares it with float on the whole
test split: top-1, paired interval of the drop, agreement, error of the logits over their deviation;
beside it the same scheme without the correction of biases. Float and INT8 take turns in one timing.
Jetson graphs are replayed in ONNX Runtime, float32 where the Jetson computes float16.
With `--untrained`, networks with random weights and measured BatchNorm statistics (no weights of
theirs are to be had offline): the error of the logits over their deviation, in the shape that is
deployed (branches merged). It compares schemes, not networks: random weights keep little of what
tells pictures apart, so the same rounding weighs several times more than in a trained one.
What the result file has of other networks stays.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from rows import keep

from edge_fgir.benchmarking import Protocol, WarmUp, measure
from edge_fgir.data import DataSet, draw_by_class, labels_of, open_data, prepared_images
from edge_fgir.evaluation import drop_interval
from edge_fgir.exporting import make_backend, read_target, target_names, to_onnx
from edge_fgir.exporting.activations import Observer
from edge_fgir.exporting.graph import Logits, run_onnx
from edge_fgir.exporting.qdq import quantize_onnx
from edge_fgir.exporting.target import QdqScheme, Scheme, Target
from edge_fgir.models import Network, folded
from edge_fgir.models.batch_norm import reestimate
from edge_fgir.runs import Run
from edge_fgir.runtime import Normalization, Pixels, Preprocess

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "mobile_int8.json"
NORMALIZATION = Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
MOST_DROP, LEAST_SPEED = 0.5, 1.5
"""Points of top-1 that INT8 may cost; how many times faster than float it shall be."""
CALIBRATION, CLASSES, SIZE = 300, 100, 128
UNTRAINED = (
    "tf_efficientnet_lite0",
    "mobilenetv2_100",
    "mobilenetv3_small_100",
    "mobilenetv4_conv_small",
    "mobileone_s0",
    "repvgg_a0",
    "fastvit_t8",
    "lcnet_050",
)


class Quantized:
    """One INT8 form of a graph, its logits corrected on average as an export corrects them."""

    def __init__(
        self, graph: onnx.ModelProto, target: Target, scheme: Scheme, images: Pixels, wanted: Logits
    ) -> None:
        if target.name == "jetson":  # float16 without ONNX Runtime's optimiser takes minutes
            assert isinstance(scheme, QdqScheme)
            form = quantize_onnx(Observer(graph), images, scheme)
            self._run, self.call = lambda pixels: run_onnx(form, pixels), None
        else:
            backend = make_backend(graph, target, "fp32").quantized(scheme, images)
            self._run, self.call = backend.run, backend.call
        self._correction = (wanted - self._run(images)).mean(axis=0)

    def run(self, images: Pixels) -> Logits:
        """Return logits (N, K)."""
        logits: Logits = self._run(images) + self._correction
        return logits


def relative_error(logits: Logits, wanted: Logits) -> float:
    """Return the RMS of what differs over the deviation of what is right, both by picture."""
    right, found = (each - each.mean(axis=1, keepdims=True) for each in (wanted, logits))
    return float(np.sqrt(np.square(found - right).mean()) / right.std())


def accuracy_of(run: Path, data: DataSet, targets: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Quantize a trained run for targets and compare it with float on the test split."""
    opened = Run.open(run)
    trained, model = opened.description, opened.load().eval()
    samples = data.split("test")
    labels, images = labels_of(samples), prepared_images(data, samples, trained.preprocess)
    drawn = draw_by_class(data.split("train"), CALIBRATION)
    calibration = prepared_images(data, drawn, trained.preprocess)
    for name in targets:
        target = read_target(name)
        form = folded(model, crop_form=target.crop)
        graph = to_onnx(form, trained.normalization, trained.preprocess.size, target.opset)
        wanted, right = run_onnx(graph, calibration), run_onnx(graph, images)
        calls = {"fp32": make_backend(graph, target, "fp32").call(images[:1])}
        rows: dict[tuple[str, bool], dict[str, Any]] = {}
        for scheme_name, scheme in target.quantization.cnn.items():
            for corrected in (True, False):
                setting = scheme.model_copy(update={"corrected_biases": corrected})
                int8 = Quantized(graph, target, setting, calibration, wanted)
                logits = int8.run(images)
                found, before = (each.argmax(axis=1) == labels for each in (logits, right))
                rows[scheme_name, corrected] = {
                    "network": f"{trained.network.name} {trained.preprocess.size} px",
                    "data": data.name,
                    "test_images": len(labels),
                    "target": name,
                    "scheme": scheme_name,
                    "corrected_biases": corrected,
                    "float_top1": round(100 * float(before.mean()), 2),
                    "int8_top1": round(100 * float(found.mean()), 2),
                    "drop_interval": [round(v, 2) for v in drop_interval(before, found)],
                    "agreement": round(
                        100 * float((logits.argmax(axis=1) == right.argmax(axis=1)).mean()), 2
                    ),
                    "relative_error": round(relative_error(logits, right), 4),
                }
                if corrected and int8.call is not None:
                    calls[scheme_name] = int8.call(images[:1])
        times = timed(calls)
        for (scheme_name, corrected), row in rows.items():
            drop = row["float_top1"] - row["int8_top1"]
            row["ok"] = not corrected or round(drop, 2) <= MOST_DROP
            if corrected and scheme_name in times:
                row |= {
                    "float_ms": round(times["fp32"], 3),
                    "int8_ms": round(times[scheme_name], 3),
                    "over_float": round(times["fp32"] / times[scheme_name], 2),
                }
            yield row


def timed(calls: dict[str, Any]) -> dict[str, float]:
    """Return the medians of calls in turns, ms; nothing where there is no runtime."""
    here = {name: call for name, call in calls.items() if call is not None}
    if not here:
        return {}
    found = measure(here, Protocol(runs=200, seconds=3.0, warm_up=WarmUp(most_s=5.0)))
    return {name: latency.p50_ms for name, latency in found.items()}


def untrained_error(name: str, data: DataSet, targets: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Return what INT8 changes in a network with random weights and statistics of ``data``."""
    torch.manual_seed(0)
    preprocess = Preprocess(size=SIZE)
    train = prepared_images(data, draw_by_class(data.split("train"), 128), preprocess)
    val = prepared_images(data, draw_by_class(data.split("val"), 64), preprocess)
    model = Network(name=name).build(CLASSES, SIZE).eval()
    reestimate(model, train, NORMALIZATION)
    for target_name in targets:
        target = read_target(target_name)
        graph = to_onnx(folded(model, crop_form=target.crop), NORMALIZATION, SIZE, target.opset)
        scheme_name, scheme = next(iter(target.quantization.cnn.items()))
        wanted, right = run_onnx(graph, train), run_onnx(graph, val)
        errors = [
            relative_error(Quantized(graph, target, form, train, wanted).run(val), right)
            for form in (scheme, scheme.model_copy(update={"corrected_biases": False}))
        ]
        yield {
            "network": name,
            "target": target_name,
            "scheme": scheme_name,
            "relative_error": round(errors[0], 4),
            "without_correction": round(errors[1], 4),
        }


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", nargs=2, metavar=("RUN", "DATA"))
    parser.add_argument("--untrained", metavar="DATA", help="whose pictures statistics are of")
    names = target_names()
    parser.add_argument("--targets", nargs="+", choices=names, default=names)
    parser.add_argument("--networks", nargs="+", default=UNTRAINED, help="of --untrained")
    parser.add_argument("--out", type=Path, default=RESULT, help="result file")
    arguments = parser.parse_args()
    if arguments.model:
        run, data = arguments.model
        for row in accuracy_of(Path(run), open_data(data), arguments.targets):
            print(row, flush=True)
            key = ("network", "data", "target", "scheme", "corrected_biases")
            keep(arguments.out, "accuracy", row, key)
    if arguments.untrained:
        for name in arguments.networks:
            for row in untrained_error(name, open_data(arguments.untrained), arguments.targets):
                print(row, flush=True)
                keep(arguments.out, "untrained", row, ("network", "target"))


if __name__ == "__main__":
    main()
