"""Milliseconds of a sweep's networks, measured on one machine: each distinct network once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from edge_fgir._errors import InputError, MissingExtraError
from edge_fgir._files import sha256, write_json
from edge_fgir.benchmarking import Latency, environment, measure
from edge_fgir.models.folding import folded
from edge_fgir.models.reduction import ReducedViT
from edge_fgir.models.trained import TrainedModel, load_trained
from edge_fgir.sweeping.cell_run import reason_of

LATENCIES = "latency.json"
NOT_ASKED: dict[str, Any] = {"ms": None, "ms_note": "not measured (--no-latency)"}

_SECONDS, _RUNS = 2.0, 100
_DIGITS = 12


class Stopwatch:
    """Measures the networks of runs, and remembers them in the folder of a sweep.

    A network is its architecture with options and reduction, input size and classes; on another
    machine or OpenVINO it is measured again.
    """

    def __init__(self, out: Path) -> None:
        self._file = out / LATENCIES
        self._known: dict[str, dict[str, Any]] = (
            json.loads(self._file.read_bytes()) if self._file.exists() else {}
        )
        self._refused: dict[str, str] = {}

    def measure(self, run: Path) -> dict[str, Any]:
        """Return ``ms``, the median of the network alone in OpenVINO float32, one picture.

        Where it cannot be measured ``ms`` is None, and ``ms_note`` says why.
        """
        network = _network(TrainedModel.read(run))
        key = sha256(json.dumps(network, sort_keys=True).encode())[:_DIGITS]
        if key not in self._known and key not in self._refused:
            try:
                latency = _measured(run)
            except Exception as error:  # an exporter may raise anything
                self._refused[key] = reason_of(error)
            else:
                self._known[key] = {"network": network, **latency.to_dict()}
                write_json(self._file, self._known)
        if key in self._refused:
            return {"ms": None, "ms_note": self._refused[key]}
        return {"ms": self._known[key]["p50_ms"], "ms_note": ""}


def _network(trained: TrainedModel) -> dict[str, Any]:
    described = trained.model_dump(
        mode="json",
        include={"architecture", "options", "attention_maps", "reduction", "num_classes"},
    )
    machine = environment()
    return {
        **described,
        "image_size": trained.preprocess.size,
        "processor": machine["processor"],
        "cpus": machine["cpus"],
        "openvino": machine["versions"].get("openvino"),
    }


def _measured(run: Path) -> Latency:
    try:
        from edge_fgir.exporting.graph import to_onnx
        from edge_fgir.exporting.openvino_ir import to_ir
        from edge_fgir.exporting.target import read_target
        from edge_fgir.runtime.engines import openvino_core

        core = openvino_core()
    except ImportError as error:
        raise MissingExtraError(error.name or "onnx", "export", "milliseconds") from error
    trained, model = load_trained(run)
    if isinstance(model, ReducedViT) and model.reduction.adaptive:
        raise InputError("token reduction ats takes a time that depends on the picture")
    size = trained.preprocess.size
    opset = read_target("openvino").opset
    graph = to_ir(to_onnx(folded(model), trained.normalization, size, opset))
    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(graph, "CPU", hints).create_infer_request()
    pixels = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
    request.get_input_tensor(0).data[...] = pixels
    return measure({"network": request.infer}, seconds=_SECONDS, min_runs=_RUNS)["network"]
