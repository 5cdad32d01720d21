"""How long the networks of a sweep take on this machine; each distinct network is timed once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import JsonValue, TypeAdapter

from edge_fgir._errors import InputError, MissingExtraError
from edge_fgir._files import sha256, write_json
from edge_fgir._refusal import stored
from edge_fgir.benchmarking import Protocol, WarmUp, environment, measure
from edge_fgir.models import as_wrapper, folded
from edge_fgir.results import NetworkTime
from edge_fgir.runs import Run, TrainedModel
from edge_fgir.sweeping.cell_run import reason_of

LATENCIES = "latency.json"
NOT_TIMED = NetworkTime(ms_note="not measured (--no-latency)")

_PROTOCOL = Protocol(runs=100, seconds=2.0, warm_up=WarmUp(most_s=5.0))
_AT_ONCE = 8
"""Networks that are timed in turns; all of them are in memory."""
_DIGITS = 12
_KEPT = TypeAdapter(dict[str, dict[str, Any]])


class NetworkTimer:
    """Times the networks of runs and keeps the results in the folder of a sweep.

    A network is timed once; on another machine, or with another OpenVINO, it is timed again.

    Args:
        out: Folder of the sweep.
    """

    def __init__(self, out: Path) -> None:
        self._file = out / LATENCIES
        self._known = stored(_KEPT, self._file, {})
        self._refused: dict[str, str] = {}

    def measure(self, runs: Sequence[Path]) -> list[NetworkTime]:
        """Return the time of each run's network.

        Networks that have no time yet are timed in turns, so that whatever else the machine does
        affects all of them alike.
        """
        networks = [_facts(Run.open(run).description) for run in runs]
        keys = [sha256(json.dumps(n, sort_keys=True).encode())[:_DIGITS] for n in networks]
        new = {
            key: (run, network)
            for key, run, network in zip(keys, runs, networks, strict=True)
            if key not in self._known
        }
        waiting = list(new)
        for start in range(0, len(waiting), _AT_ONCE):
            self._measure({key: new[key] for key in waiting[start : start + _AT_ONCE]})
        return [
            NetworkTime(ms_note=self._refused[key])
            if key in self._refused
            else NetworkTime(ms=self._known[key]["p50_ms"], ms_note="")
            for key in keys
        ]

    def _measure(self, new: Mapping[str, tuple[Path, dict[str, JsonValue]]]) -> None:
        calls: dict[str, Callable[[], object]] = {}
        for key, (run, _) in new.items():
            try:
                calls[key] = _inference(run)
            except Exception as error:  # an exporter may raise anything
                self._refused[key] = reason_of(error)
        if not calls:
            return
        measured = measure(calls, _PROTOCOL)
        for key, latency in measured.items():
            self._known[key] = {"measured": new[key][1], **latency.model_dump(mode="json")}
        write_json(self._file, self._known)


def _facts(trained: TrainedModel) -> dict[str, JsonValue]:
    """Return what the time of a network depends on: itself, this machine and OpenVINO."""
    machine = environment()
    facts = machine.model_dump(mode="json", include={"processor", "instructions", "cpus"})
    return {
        "network": trained.network.key(trained.num_classes, trained.preprocess.size),
        "architecture": trained.network.name,
        "image_size": trained.preprocess.size,
        **facts,
        "openvino": machine.versions.get("openvino"),
    }


def _inference(run: Path) -> Callable[[], object]:
    try:
        from edge_fgir.exporting import make_backend, read_target, to_onnx
    except ImportError as error:
        raise MissingExtraError(error.name or "onnx", "export", "milliseconds") from error
    opened = Run.open(run)
    trained, model = opened.description, opened.load()
    if as_wrapper(model).adaptive:
        raise InputError("token reduction ats takes a time that depends on the picture")
    target = read_target("openvino")
    size = trained.preprocess.size
    form = folded(model, crop_form=target.crop)
    graph = to_onnx(form, trained.normalization, size, target.opset)
    pixels = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
    call = make_backend(graph, target, "fp32").call(pixels)
    assert call is not None  # OpenVINO is here
    return call
