"""Which networks of timm reach a device: the smallest of every family, with random weights.

    .venv/bin/python benchmarks/timm_models.py

exports each for every target, opens the bundle by the device's own code (Jetson graphs, which
NVIDIA's builder has accepted, in ONNX Runtime), and compares its logits with torch's: in float32,
and in INT8 by the first scheme of the target. A family is a module of timm and the first word of a
name. Those with a network of under 12 million parameters count; of modules that have none, the
smallest network is shown beyond that.

A network is worked on in a process of its own, with a time limit, and its row is kept: the command
goes on where it was stopped. `--only mobilevit_xxs` works on that one again.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import timm
import torch
from PIL import Image
from timm.models._registry import _model_to_module
from torch import nn

from edge_fgir._errors import EdgeFgirError
from edge_fgir._files import sha256, to_json, write_json
from edge_fgir.benchmarking import environment
from edge_fgir.exporting import Target, read_target, target_names
from edge_fgir.exporting.builders import Backend, make_backend
from edge_fgir.exporting.graph import Head, Logits, check_ops, is_transformer, to_onnx
from edge_fgir.exporting.writer import describe, seal
from edge_fgir.models import OWN_MODELS, Network, count_params, folded, logits_of, summarize
from edge_fgir.runs import TrainedModel
from edge_fgir.runtime import (
    Bundle,
    Calibration,
    Classifier,
    DataInfo,
    Normalization,
    Pixels,
    Precision,
    Preprocess,
    find_runtime,
    open_engine,
)

RESULT = Path(__file__).parent / "results" / "timm_models.json"
SMALL = 12_000_000
"""Parameters; a family with a network of fewer counts."""
LEAST_SHARE = 0.95
"""Of those families that shall export."""
MOST_DELTA = 1e-3
"""Of a centred logit, torch to the opened float32 bundle."""

_CLASSES, _IMAGES = 10, 16
_SIDES = (128, 224)
"""Input sides that are tried, pixels; then the one that timm built the network for."""
_MOST_BYTES = 12 << 30
_NORMALIZATION = Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def family_of(name: str) -> str:
    """Return a network's module in timm and the first word of its name without its size."""
    word = re.sub(r"^(?:test|tf|ese|legacy)_", "", name).split("_")[0]
    return f"{_model_to_module[name]}/{re.sub(r'(?<!v)[0-9]+[a-z]*$', '', word)}"


def count_all() -> dict[str, int]:
    """Return the parameters of all networks of timm, which takes minutes."""
    counts = {}
    for name in timm.list_models():
        if name not in OWN_MODELS:
            with warnings.catch_warnings(), torch.device("meta"):
                warnings.simplefilter("ignore")
                counts[name] = count_params(timm.create_model(name))
    return counts


def smallest_of_families(counts: dict[str, int]) -> dict[str, str]:
    """Return the smallest network by family, and by module where no family has a small one.

    The tiny ones that timm tests itself with stand for a family that has no others.
    """
    ranked = sorted(counts, key=lambda name: (name.startswith("test_"), counts[name]))
    families: dict[str, str] = {}
    for name in ranked:
        if counts[name] < SMALL:
            families.setdefault(family_of(name), name)
    modules = {family.split("/")[0] for family in families}
    for name in ranked:
        module = family_of(name).split("/")[0]
        if module not in modules:
            families[family_of(name)] = name
            modules.add(module)
    return families


@torch.no_grad()
def stir(model: nn.Module, pixels: Pixels) -> None:
    """Give a fresh network what training gives: scales, shifts and statistics that differ.

    What a network starts with as a constant (norms, biases, LayerScale, a residual branch that is
    off) becomes random, then BatchNorms measure their statistics on the pictures.
    """
    torch.manual_seed(0)
    for parameter in model.parameters():
        start = parameter.flatten()[0].item()
        if parameter.numel() and bool((parameter == start).all()):
            if abs(start) > 0.1:
                parameter.mul_(torch.empty_like(parameter).uniform_(0.7, 1.3))
            else:
                parameter.copy_(torch.empty_like(parameter).uniform_(-0.3, 0.3))
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all batches
        norm.train()
    logits_in_place(model, pixels)
    model.eval()


def logits_in_place(model: nn.Module, pixels: Pixels) -> None:
    """Run the pictures through a network as it stands, some of it training."""
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    mean, std = (
        torch.tensor(each)[:, None, None] for each in (_NORMALIZATION.mean, _NORMALIZATION.std)
    )
    model((images - mean) / std)


def pictures(side: int) -> Pixels:
    """Return pictures of smooth colours with some grain, (N, side, side, 3)."""
    random = np.random.default_rng(0)
    smooth = random.integers(0, 256, (_IMAGES, 6, 6, 3), dtype=np.uint8)
    large = [np.asarray(Image.fromarray(each).resize((side, side), 3)) for each in smooth]
    grain = random.normal(0, 12, (_IMAGES, side, side, 3))
    return np.clip(np.stack(large) + grain, 0, 255).astype(np.uint8)


def described(name: str, side: int) -> TrainedModel:
    """Return what a run of the network would say of it."""
    return TrainedModel(
        name=name,
        network=Network(name=name),
        num_classes=_CLASSES,
        normalization=_NORMALIZATION,
        preprocess=Preprocess(size=side),
        data=DataInfo(name="generated", licence="", hash="0" * 64),
    )


def taken_side(name: str) -> int:
    """Return the smallest input side that the network can be built for and takes, pixels."""
    last = int(timm.get_pretrained_cfg(name).input_size[-1])
    for side in _SIDES:
        try:
            summarize(Network(name=name).build(_CLASSES, side, meta=True), name, side, _CLASSES)
        except EdgeFgirError:
            continue
        except NotImplementedError:  # something does not run without numbers
            pass
        return side
    return last


def row_of(name: str, targets: Sequence[str]) -> dict[str, Any]:
    """Export one network for the targets."""
    side = taken_side(name)
    row: dict[str, Any] = {"network": name, "size": side}
    trained = described(name, side)
    try:
        torch.manual_seed(0)
        model = trained.build().eval()
        images = pictures(side)
        stir(model, images)
        reference = logits_of(model, images, _NORMALIZATION, "torch")
        assert np.isfinite(reference).all()
    except Exception as error:
        return {**row, "error": _first_line(error)}
    return {
        **row,
        "targets": {
            t: exported(trained, model, images, reference, read_target(t)) for t in targets
        },
    }


def exported(
    trained: TrainedModel, model: nn.Module, images: Pixels, reference: Logits, target: Target
) -> dict[str, Any]:
    """Export a network for one target and compare both of its precisions with torch."""
    start = time.perf_counter()
    result: dict[str, Any] = {}
    try:
        form = folded(model, crop_form=target.crop)
        graph = to_onnx(form, trained.normalization, trained.preprocess.size, target.opset)
        check_ops(graph, target.ops, target.name)
        delta = compared(
            trained, target, "fp32", make_backend(graph, target, "fp32"), images, reference
        )
        result["delta"] = float(np.abs(delta).max())
        result["int8"] = quantized(trained, graph, target, images, reference)
    except Exception as error:
        result["error"] = _first_line(error)
    return {**result, "seconds": round(time.perf_counter() - start, 1)}


def quantized(
    trained: TrainedModel,
    graph: onnx.ModelProto,
    target: Target,
    images: Pixels,
    reference: Logits,
) -> dict[str, Any]:
    """Return the first scheme of a target and its error, relative to how the logits vary."""
    kind = "transformer" if is_transformer(graph) else "cnn"
    scheme, how = next(iter(getattr(target.quantization, kind).items()))
    try:
        backend = make_backend(graph, target, "int8").quantized(how, images)
        delta = compared(trained, target, "int8", backend, images, reference)
    except Exception as error:
        return {"scheme": scheme, "error": _first_line(error)}
    signal, noise = (_varying(each) for each in (_centred(reference), delta))
    return {
        "scheme": scheme,
        "relative_error": float(np.sqrt(np.square(noise).mean() / np.square(signal).mean())),
    }


def compared(
    trained: TrainedModel,
    target: Target,
    precision: Precision,
    backend: Backend,
    images: Pixels,
    reference: Logits,
) -> Logits:
    """Write a bundle, open it as a device does, and return what its centred logits lack, (N, K)."""
    calibration = Calibration(
        temperature=1.0,
        unknown_threshold=0.0,
        kept=1.0,
        ece_before=0.0,
        ece_after=0.0,
        validation_images=0,
        quantization_images=0,
        quantization_hash=sha256(b""),
    )
    contents = {
        **backend.files(Head(np.zeros(_CLASSES, np.float32), 1.0), {}),
        "labels.txt": "".join(f"{index}\n" for index in range(_CLASSES)).encode(),
        "preprocess.json": to_json(trained.preprocess.model_dump()).encode(),
        "calibration.json": to_json(calibration.model_dump()).encode(),
    }
    fields = describe(trained, target, precision, backend.model_file, params=0)
    with tempfile.TemporaryDirectory() as scratch:
        seal(Path(scratch), contents, fields)
        bundle = Bundle(Path(scratch))
        engine = open_engine(bundle, find_runtime(target.runtime).gate_device)
        with Classifier(bundle, engine) as classifier:
            answers = [classifier.infer(image[None]) for image in images]
    logits = np.log(np.maximum(np.concatenate(answers), 1e-30))
    return _centred(logits) - _centred(reference)


def _centred(logits: Logits) -> Logits:
    centred: Logits = logits - logits.mean(axis=1, keepdims=True)
    return centred


def _varying(logits: Logits) -> Logits:
    varying: Logits = logits - logits.mean(axis=0)
    return varying


def _first_line(error: Exception) -> str:
    text = next((line for line in str(error).splitlines() if line.strip()), "")
    return text if isinstance(error, EdgeFgirError) else f"{type(error).__name__}: {text}"


def in_own_process(name: str, limit: float, targets: Sequence[str]) -> dict[str, Any]:
    """Return the row of a network, whatever becomes of the process that makes it."""
    command = [sys.executable, __file__, "--row", name, "--targets", *targets]
    start = time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
        row = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        row = {"network": name, "error": f"over {limit:.0f} s"}
    except (IndexError, ValueError):
        lines = done.stderr.strip().splitlines()
        row = {"network": name, "error": f"exit {done.returncode}: {lines[-1] if lines else ''}"}
    return {**row, "seconds": round(time.perf_counter() - start, 1)}


def main() -> None:
    """Work on all networks that have no row yet, print and write the rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = target_names()
    parser.add_argument("--targets", nargs="+", choices=names, default=names)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these again")
    parser.add_argument("--workers", type=int, default=2, help="networks at once")
    parser.add_argument("--limit", type=float, default=400, help="seconds a network")
    parser.add_argument("--out", type=Path, default=RESULT, help="result file")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row:
        resource.setrlimit(resource.RLIMIT_DATA, (_MOST_BYTES, _MOST_BYTES))
        warnings.simplefilter("ignore")
        print(json.dumps(row_of(arguments.row, arguments.targets)))
        return
    body = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    if body.get("timm") != timm.__version__:
        body = {
            "schema": "edge-fgir/benchmark/1",
            "timm": timm.__version__,
            "params": count_all(),
            "rows": [],
        }
        write_json(arguments.out, body)
    families = smallest_of_families(body["params"])
    rows = {row["network"]: row for row in body["rows"]}
    waiting = arguments.only or [n for n in families.values() if n not in rows]
    of = {name: family for family, name in families.items()}
    with ThreadPoolExecutor(arguments.workers) as pool:
        tasks = [
            pool.submit(in_own_process, n, arguments.limit, arguments.targets) for n in waiting
        ]
        for task in as_completed(tasks):
            row = task.result()
            name = row["network"]
            rows[name] = {"family": of[name], "params": body["params"][name], **row}
            show(rows[name])
            body |= {
                "rows": [rows[n] for n in sorted(rows)],
                "environment": environment().model_dump(mode="json"),
            }
            write_json(arguments.out, body)
    summary(list(rows.values()))


def show(row: dict[str, Any]) -> None:
    """Print one row."""
    where = f"{row['family']:36} {row['network']:32} {row.get('size', 0):4} px"
    print(f"{where} {row['seconds']:6.1f} s {row.get('error', '')}", flush=True)
    for name, result in row.get("targets", {}).items():
        int8 = result.get("int8", {})
        told = int8.get("error") or f"{int8.get('relative_error', float('nan')):.3f}"
        delta = result.get("delta", float("nan"))
        print(f"    {name:9} {delta:.1e}  INT8 {told}  {result.get('error', '')}", flush=True)


def works(row: dict[str, Any], target: str) -> bool:
    """Say whether a network's float32 bundle gives torch's logits on a target."""
    delta = row.get("targets", {}).get(target, {}).get("delta")
    return delta is not None and delta <= MOST_DELTA


def summary(rows: Sequence[dict[str, Any]]) -> None:
    """Print the shares."""
    for title, some in (
        ("small", [row for row in rows if row["params"] < SMALL]),
        ("beyond", [row for row in rows if row["params"] >= SMALL]),
    ):
        for target in target_names():
            good = sum(works(row, target) for row in some)
            print(f"{title:8} {target:9} {good} of {len(some)}")


if __name__ == "__main__":
    main()
