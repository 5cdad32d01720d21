"""Results as JSON values, whole and small, for tests to change and to write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_fgir._files import write_json
from edge_fgir.results import KINDS

Fields = dict[str, Any]

DATA: Fields = {"name": "birds", "licence": "CC0-1.0", "hash": "0" * 64}
ENVIRONMENT: Fields = {
    "date": "2026-03-04T05:06:07+00:00",
    "machine": "x86_64",
    "processor": "AMD EPYC",
    "cpus": 2,
    "load_1min": 0.5,
    "system": "Linux",
    "python": "3.12",
    "versions": {"edge-fgir": "0.1.0"},
}


def write_result(path: Path, kind: str, fields: Fields) -> None:
    """Write a result file, whether or not its fields are right."""
    schema = KINDS[kind].schema_name()
    write_json(path, {"schema": schema, "environment": ENVIRONMENT, **fields})


def subject(target: str, precision: str, bundle: str = "", engine: str = "") -> Fields:
    """Return what a result is about."""
    return {
        "bundle": bundle or f"out/{target}.fgir",
        "name": "birds-student",
        "target": target,
        "precision": precision,
        "engine": engine or f"{target} 1.0 CPU",
        "image_size": 64,
    }


def model_bytes(target: str) -> int:
    """Return the size of a bundle's model, or of torch's weights."""
    return 20_000_000 if target == "torch" else 5_000_000


def percentiles(p50: float) -> Fields:
    """Return a measured latency, milliseconds."""
    return {
        "p50_ms": p50,
        "p90_ms": 1.1 * p50,
        "p99_ms": 1.5 * p50,
        "mean_ms": 1.02 * p50,
        "sd_ms": 0.1 * p50,
        "max_ms": 2 * p50,
        "n": 1000,
        "p50_interval_ms": [0.99 * p50, 1.01 * p50],
        "steady": True,
    }


def metrics(top1: float, images: int, classes: list[Fields], confusion: list[list[int]]) -> Fields:
    """Return the metrics of an evaluation; those beside top-1 are made up."""
    return {
        "top1": top1,
        "top1_interval": [top1 - 5, top1 + 5],
        "top5": 100.0,
        "macro": top1 - 0.25,
        "macro_f1": top1 - 0.5,
        "worst_decile": top1 - 20,
        "ece": 3.21,
        "images": images,
        "classes": classes,
        "confusion": confusion,
    }


def latency(target: str, network: float, times: float | None = None, **changes: object) -> Fields:
    """Return a latency, not certified; with ``times``, torch was so many times slower."""
    scopes = {"network": percentiles(network), "frame_to_decision": percentiles(network + 2)}
    fields = {
        **subject(target, "int8"),
        **scopes["frame_to_decision"],
        "model_bytes": model_bytes(target),
        "mode": "burst",
        "scope": "frame_to_decision",
        "certified": False,
        "uncertified_because": ["nobody looked"],
        "certified_if": {"other_work_below": 0.05, "repeats_apart_at_most": 0.03},
        "scopes": scopes,
        "repeats_p50_ms": {"network": [network, network], "frame_to_decision": None},
        "energy": {"reason": "no power meter here"},
        "preconditions": {
            "load_1min": 0.5,
            "governors": None,
            "frequency_mhz": None,
            "turbo": None,
            "affinity": "0-1",
            "cpu_limit": None,
            "power_mode": None,
            "swap_used_mb": 0.0,
            "memory_available_mb": 1000.0,
            "virtual_machine": False,
        },
        "watch": {
            "samples": 2,
            "temperatures_c": {},
            "clock_mhz": None,
            "throttling": {"signals": 0, "events": {}, "unknown": "no throttle counter"},
            "other_work": 0.0,
            "clock_steps": [],
            "lost": [],
            "died": "",
        },
    }
    if times:
        torch = percentiles(network * times)
        fields["baseline"] = {"name": "torch eager fp32", **torch, "times_slower": times}
    return {**fields, **changes}
