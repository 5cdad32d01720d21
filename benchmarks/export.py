"""What export keeps of the accuracy, and what INT8 gives in speed, on this machine's CPU.

    .venv/bin/python benchmarks/export.py --model runs/lrnet14 ../shared/data/cub_100

exports every trained run that is named, for all precisions of all targets (or of `--targets`), and
evaluates the bundles on the test split beside torch (Jetson graphs in ONNX Runtime). Gates are the
targets' own, but allow one picture of the validation split where that is more than the bound.
With `--speed`, networks with random weights, on which it does not depend, are timed: torch eager
(of the network that keeps all tokens too, where some are dropped), float and every INT8 scheme of
the target, with bfloat16 beside where the processor has it, take turns in one run; the value is a
ratio of medians. `taskset -c 0` in front times one core; rows of other processors stay. `--time RUN
DATA` times `edge-fgir export` from its start to its end, in seconds. What the result file has of
other networks stays. `--quick` only shows that it works.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from rows import keep

from edge_fgir._errors import GateError
from edge_fgir.benchmarking import Protocol, WarmUp, environment, measure
from edge_fgir.data import DataSet, labels_of, open_data, prepared_images
from edge_fgir.evaluation import drop_interval
from edge_fgir.exporting import ExportOptions, Target, export, read_target, target_names
from edge_fgir.exporting.builders import find_builder, make_backend
from edge_fgir.exporting.graph import is_transformer, to_onnx
from edge_fgir.models import Network
from edge_fgir.models.folding import folded
from edge_fgir.models.inference import logits_of, normalized
from edge_fgir.models.reduction import Reduction
from edge_fgir.runs import Run, TrainedModel
from edge_fgir.runtime import Bundle, Classifier, Device, is_int8
from edge_fgir.runtime.manifest import Normalization

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "export.json"
NORMALIZATION = Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
CLASSES = 200

MOST_DROP = {"openvino": 0.2, "arm": 0.5, "jetson": 0.5, "litert": 0.5}
"""Points of top-1 that INT8 may cost."""
LEAST_AGREEMENT = {"fp32": 100.0}
"""Percent of the images with torch's label; 98 where less is computed exactly."""
MOST_DELTA = 1e-3
"""Of a logit, torch to float32 bundle."""
MOST_SECONDS = {"litert": 30.0}
"""That an export of an LRN14 takes for one target; 20 for others."""

_MIN_RUNS = 200


@dataclass(frozen=True)
class Case:
    """What is timed, and how many times faster than what it shall be.

    ``over_torch`` is over torch eager of the network with all its tokens.
    """

    name: str
    size: int
    keep_rate: float = 1.0
    over_torch: float = 0.0
    over_float: float = 0.0

    def __str__(self) -> str:
        kept = f", EViT {self.keep_rate:g}" if self.keep_rate < 1 else ""
        return f"{self.name} {self.size} px{kept}"

    def build(self) -> torch.nn.Module:
        """Return it with random weights."""
        torch.manual_seed(0)
        if self.name.startswith("lrnet"):
            return Network(name=self.name).build(CLASSES).eval()
        reduction = (
            Reduction(method="evit", keep_rate=self.keep_rate) if self.keep_rate < 1 else None
        )
        size = self.size
        return Network(name=self.name, reduction=reduction).build(CLASSES, size).eval()


SPEED: dict[str, tuple[Case, ...]] = {
    "openvino": (
        Case("lrnet14", 128, over_torch=8),
        Case("vitfs_tiny", 224),
        Case("vitfs_tiny", 224, keep_rate=0.5, over_torch=8),
    ),
    "arm": (
        Case("lrnet14", 128),
        Case("vitfs_tiny", 224, over_float=2),
        Case("vitfs_tiny", 224, keep_rate=0.5),
    ),
}
QUICK: dict[str, tuple[Case, ...]] = {
    "openvino": (Case("vitfs_nano", 96, over_torch=8),),
    "arm": (Case("lrnet14", 64, over_float=2),),
}


def speed_of(target: Target, network: Case, seconds: float) -> Iterator[dict[str, Any]]:
    """Time one network in torch and in a target's runtime, in float and in all INT8 schemes."""
    model = network.build()
    graph = to_onnx(folded(model), NORMALIZATION, network.size, target.opset)
    images = np.random.default_rng(0).integers(
        0, 256, (16, network.size, network.size, 3), dtype=np.uint8
    )
    base = make_backend(graph, target, "fp32")
    quantization = target.quantization
    schemes = quantization.transformer if is_transformer(graph) else quantization.cnn
    forms = {name: base.quantized(scheme, images) for name, scheme in schemes.items()}
    floats = {"fp32": base}
    builder = find_builder(target.runtime)
    if builder.has_bfloat16():
        floats["bf16"] = builder.in_bfloat16(base)
        forms |= {f"{name}, bfloat16": builder.in_bfloat16(form) for name, form in forms.items()}
    prepared = normalized(torch.from_numpy(images[:1]).permute(0, 3, 1, 2), NORMALIZATION)
    prepared = prepared.contiguous()

    def eager(model: torch.nn.Module) -> object:
        with torch.inference_mode():
            return model(prepared)

    calls: dict[str, Callable[[], object]] = {
        "torch": partial(eager, replace(network, keep_rate=1.0).build())
    }
    if network.keep_rate < 1:
        calls["torch, reduced"] = partial(eager, model)
    for name, form in {**floats, **forms}.items():
        call = form.call(images[:1])
        assert call is not None
        calls[name] = call
    found = measure(calls, Protocol(seconds=seconds, runs=_MIN_RUNS, warm_up=WarmUp(most_s=5.0)))
    p50 = {name: latency.p50_ms for name, latency in found.items()}
    fastest = min(forms, key=p50.__getitem__)
    for name in calls:
        row: dict[str, Any] = {
            "network": str(network),
            "target": target.name,
            "form": name,
            "cores": environment().cpus,
            "p50_ms": round(p50[name], 3),
            "over_torch": round(p50["torch"] / p50[name], 2),
            "over_float": round(p50["fp32"] / p50[name], 2),
        }
        for bound in ("over_torch", "over_float"):
            least = getattr(network, bound)
            if least and name == fastest:
                row |= {"bound": f"{bound} >= {least:g}", "ok": row[bound] >= least}
        yield row


def seconds_of(run: Path, data: str, targets: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Time the command for each target, the median of three."""
    opened = Run.open(run).description
    pictures = len(open_data(data).split("val"))
    for name in targets:
        seconds = []
        for _ in range(3):
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, "-m", "edge_fgir", "export", str(run), "--data", data]
                command += ["--target", name, "--out", str(Path(folder) / "x.fgir")]
                began = time.monotonic()
                subprocess.run(command, check=True, capture_output=True)
                seconds.append(round(time.monotonic() - began, 1))
        yield {
            "network": title_of(opened),
            "data": opened.data.name,
            "val_images": pictures,
            "target": name,
            "seconds": median(seconds),
            "runs": seconds,
            "ok": median(seconds) <= MOST_SECONDS.get(name, 20.0),
        }


def accuracy_of(run: Path, data: DataSet, targets: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Export a run for targets and evaluate the bundles on the test split."""
    opened = Run.open(run)
    trained, model = opened.description, opened.load()
    samples = data.split("test")
    labels = labels_of(samples)
    images = prepared_images(data, samples, trained.preprocess)
    right = logits_of(model, images, trained.normalization, "torch").argmax(axis=1)
    one_picture = 100 / len(data.split("val")) + 1e-6
    for name in targets:
        target = read_target(name)
        gates = target.allowing(max(target.gates.max_top1_drop, one_picture))
        for precision in target.precisions:
            row = {
                "network": title_of(trained),
                "data": data.name,
                "test_images": len(labels),
                "target": name,
                "asked": precision,
            }
            with tempfile.TemporaryDirectory() as folder:
                try:
                    bundle = export(
                        run,
                        gates,
                        data,
                        Path(folder) / "x.fgir",
                        ExportOptions(precision=precision),
                    )
                except GateError as error:
                    yield {**row, "refused": str(error), "ok": False}
                    continue
                answers = answers_of(bundle, images)
                row |= judged(bundle, target, answers, right, labels)
            yield row


def answers_of(bundle: Bundle, images: np.ndarray) -> np.ndarray:
    """Return the class of each image, (N,)."""
    device: Device = "cpu" if bundle.manifest.runtime == "tensorrt" else "auto"
    with Classifier.open(bundle.path, device=device) as classifier:
        answers = np.concatenate([classifier.infer(image[None]) for image in images])
    found: np.ndarray = answers.argmax(axis=1)
    return found


def title_of(trained: TrainedModel) -> str:
    """Name a run's network."""
    reduction = trained.network.reduction
    kept = f", {reduction.method} {reduction.keep_rate:g}" if reduction else ""
    clca = ", CLCA" if reduction and reduction.cla else ""
    return f"{trained.network.name} {trained.preprocess.size} px{kept}{clca}"


def judged(
    bundle: Bundle, target: Target, answers: np.ndarray, right: np.ndarray, labels: np.ndarray
) -> dict[str, Any]:
    """Compare a bundle's answers on the test split with torch's."""
    precision = bundle.manifest.precision
    stage = bundle.report("parity")["stages"][-1]
    drop = 100 * float((right == labels).mean() - (answers == labels).mean())
    agreement = 100 * float((answers == right).mean())
    delta = next(
        stage["max_delta_logit"]
        for stage in bundle.report("parity")["stages"]
        if stage["name"] == "onnx"
    )
    ok = (
        drop <= MOST_DROP[target.name]
        and agreement >= LEAST_AGREEMENT.get(precision, 98.0)
        and delta <= MOST_DELTA
    )
    chosen = bundle.report("quantization") if is_int8(precision) else {}
    return {
        "precision": precision,
        "val_top1_drop": round(stage["top1_drop"], 2),
        "scheme": chosen.get("chosen", ""),
        "why": chosen.get("why", ""),
        "model_bytes": bundle.model_size,
        "torch_top1": round(100 * float((right == labels).mean()), 2),
        "top1_drop": round(drop, 2),
        "drop_interval": [round(v, 2) for v in drop_interval(right == labels, answers == labels)],
        "agreement": round(agreement, 2),
        "onnx_max_delta_logit": delta,
        "ok": bool(ok),
    }


def show_accuracy(row: dict[str, Any]) -> None:
    """Print one row."""
    if "refused" in row:
        print(f"{row['network']:18} {row['target']:9} asked {row['asked']:4} {row['refused']}")
        return
    low, high = row["drop_interval"]
    print(
        f"{row['network']:18} {row['target']:9} asked {row['asked']:4} got {row['precision']:4} "
        f"{row['scheme']:26} {row['model_bytes'] / 1e6:6.2f} MB  torch {row['torch_top1']:5.2f} %, "
        f"drop {row['top1_drop']:+5.2f} ({low:+.2f} to {high:+.2f}), "
        f"agreement {row['agreement']:6.2f} %  {'ok' if row['ok'] else 'MISSED'}",
        flush=True,
    )


def show_seconds(row: dict[str, Any]) -> None:
    """Print one row."""
    print(
        f"{row['network']:18} {row['target']:9} {row['val_images']} validation images: "
        f"{row['seconds']:.1f} s  {'ok' if row['ok'] else 'MISSED'}",
        flush=True,
    )


def show_speed(row: dict[str, Any]) -> None:
    """Print one row."""
    verdict = f"{row['bound']}: {'ok' if row['ok'] else 'MISSED'}" if "bound" in row else ""
    print(
        f"{row['network']:28} {row['target']:9} {row['form']:30} {row['p50_ms']:8.2f} ms "
        f"{row['over_torch']:6.2f} x torch {row['over_float']:6.2f} x fp32  {verdict}",
        flush=True,
    )


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", nargs=2, action="append", default=[], metavar=("RUN", "DATA"), help="repeatable"
    )
    parser.add_argument(
        "--time", nargs=2, action="append", default=[], metavar=("RUN", "DATA"), help="repeatable"
    )
    names = target_names()
    parser.add_argument(
        "--targets", nargs="+", choices=names, default=names, help="all that there are by default"
    )
    parser.add_argument("--speed", action="store_true", help="time networks")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each form")
    parser.add_argument("--quick", action="store_true", help="see that it works; tells no speed")
    parser.add_argument("--out", type=Path, default=RESULT, help="result file")
    arguments = parser.parse_args()
    for run, data in arguments.model:
        for row in accuracy_of(Path(run), open_data(data), arguments.targets):
            show_accuracy(row)
            keep(arguments.out, "accuracy", row, ("network", "data", "target", "asked"))
    for run, data in arguments.time:
        for row in seconds_of(Path(run), data, arguments.targets):
            show_seconds(row)
            keep(arguments.out, "seconds", row, ("network", "data", "target"))
    networks = QUICK if arguments.quick else SPEED if arguments.speed else {}
    seconds = 0.2 if arguments.quick else arguments.seconds
    for name in (name for name in networks if name in arguments.targets):
        for network in networks[name]:
            for row in speed_of(read_target(name), network, seconds):
                show_speed(row)
                if not arguments.quick:
                    key = ("network", "target", "form", "cores", "instructions")
                    keep(arguments.out, "speed", row, key)


if __name__ == "__main__":
    main()
