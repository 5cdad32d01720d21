"""One device asked about one bundle: what runs in a process of its own, which may crash or hang."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from edge_fgir._errors import EdgeFgirError
from edge_fgir._files import write_json
from edge_fgir._limits import limited
from edge_fgir._text import printable
from edge_fgir.runtime.bundle import Bundle
from edge_fgir.runtime.classifier import Classifier
from edge_fgir.runtime.engine_options import EngineOptions
from edge_fgir.runtime.runtimes import find_runtime, open_engine
from edge_fgir.runtime.verification import replay

_WARM_UP, _RUNS, _SECONDS = 5, 200, 2.0
_LIMIT_S = 24 * 3600.0
"""Memory is watched from in here, time from outside."""


def list_devices(runtime: str) -> dict[str, Any]:
    """Ask a runtime's library for its devices; that loads all their drivers."""
    return {"devices": find_runtime(runtime).found_devices()}


def probe(path: str, runtime: str, device: str) -> dict[str, Any]:
    """Replay a bundle's golden pictures on a device, and time the first variant's answers."""
    options = EngineOptions(device, cache=False)
    first, *others = (variant.in_runtime(runtime) for variant in Bundle(path).variants)
    with (
        limited(printable(f"bundle {path} on {device}"), _LIMIT_S),
        Classifier(first, open_engine(first, options)) as model,
    ):
        check = replay(model, first)
        for variant in others:
            with Classifier(variant, open_engine(variant, options)) as smaller:
                found = replay(smaller, variant)
            detail = f"{check.detail}; at {variant.variant}: {found.detail}"
            check = replace(check, ok=check.ok and found.ok, detail=detail)
        return {
            "device": device,
            "runtime": runtime,
            "ok": check.ok,
            "detail": check.detail,
            "engine": model.info["engine"],
            "p50_ms": _p50_ms(model) if check.ok else None,
        }


def _p50_ms(model: Classifier) -> float:
    size = model.image_size
    pixels = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), np.uint8)
    for _ in range(_WARM_UP):
        model.infer(pixels)
    times: list[float] = []
    end = time.perf_counter() + _SECONDS
    while len(times) < _RUNS and (not times or time.perf_counter() < end):
        start = time.perf_counter()
        model.infer(pixels)
        times.append(time.perf_counter() - start)
    return round(1e3 * median(times), 4)


def main() -> None:
    """Answer the request in the first argument, a JSON object, into the file that it names."""
    request = json.loads(sys.argv[1])
    try:
        answer = (
            probe(request["bundle"], request["runtime"], request["device"])
            if "bundle" in request
            else list_devices(request["runtime"])
        )
    except (EdgeFgirError, ImportError, RuntimeError) as error:
        answer = {"error": " ".join(str(error).split())}
    write_json(Path(request["answer"]), answer)
