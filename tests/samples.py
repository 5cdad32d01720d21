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


def evaluation(split: str, top1: float, classes: tuple[str, ...] = ("robin", "wren")) -> Fields:
    """Return an evaluation of an OpenVINO bundle, without its environment."""
    rows = [{"name": name, "images": 10, "top1": top1} for name in classes]
    confusion = [[8 if a == b else 2 for b in classes] for a in classes]
    return {
        **subject("openvino", "int8"),
        **metrics(top1, 10 * len(classes), rows, confusion),
        "model_bytes": model_bytes("openvino"),
        "split": split,
        "data": DATA,
    }


def fit_training(stage: str, method: str, top1: float, **changes: object) -> Fields:
    """Return one training of a fit's candidate."""
    return {
        "stage": stage,
        "method": method,
        "image_size": 160,
        "epochs": 0 if method == "probe" else 5,
        "steps": 0 if method == "probe" else 100,
        "seconds": 60.0,
        "accuracy": {"top1": top1, "low": top1 - 5, "high": top1 + 5},
        "macro": top1 - 1,
        "run": f"birds.fit/runs/{stage}",
        **changes,
    }


def fit(**changes: object) -> Fields:
    """Return a fit: one pretrained candidate that won, one from scratch, one that was too slow."""

    def candidate(name: str, pretrained: bool, size: int, ms: float, **more: object) -> Fields:
        return {
            "name": f"{name} at {size} px",
            "architecture": name,
            "pretrained": pretrained,
            "setting": {"image_size": size},
            "params": 4_000_000,
            "gmacs": 0.2,
            "latencies": [
                {"precision": "int8", "ms": ms, "fits": ms <= 3},
                {"precision": "fp32", "ms": 2 * ms, "measured": False, "fits": 2 * ms <= 3},
            ],
            **more,
        }

    def point(number: int, size: int, ms: float, top1: float, role: str) -> Fields:
        return {
            "candidate": number,
            "name": f"candidate {number} at {size} px",
            "setting": {"image_size": size},
            "precision": "int8",
            "measured": {"p50_ms": ms, "p99_ms": 1.5 * ms},
            "network_ms": ms - 0.5,
            "size_mb": 4.2,
            "accuracy": {"top1": top1, "low": top1 - 5, "high": top1 + 5},
            "macro": top1 - 1,
            "agreement": 99.0,
            "fits": ms <= 3,
            "role": role,
        }

    lite0 = [fit_training("probe", "probe", 80.0), fit_training("final", "kd", 90.0)]
    return {
        "bundle": "birds.fgir",
        "device": "local",
        "device_name": "AMD EPYC",
        "target": "openvino",
        "budget": {"latency_ms": 3.0},
        "minutes": 30.0,
        "seconds": 1700.0,
        "data": DATA,
        "found": {
            "classes": ["robin", "wren"],
            "train": 100,
            "val": 20,
            "test": 20,
            "train_counts": [75, 25],
            "skipped": [{"file": "photos/wren/7.jpg", "reason": "it is cut off"}],
            "notes": ["2 pictures look alike and were kept on one side of the split"],
        },
        "candidates": [
            candidate("tf_efficientnet_lite0", True, 160, 2.5, trainings=lite0),
            candidate(
                "lrnet14",
                False,
                128,
                2.8,
                trainings=[fit_training("halving", "tgda", 60.0)],
                left_out="less accurate after equally much time",
            ),
            candidate("tf_efficientnet_lite2", True, 288, 8.0, left_out="too slow"),
        ],
        "teacher": fit_training("teacher", "ce", 93.0),
        "teacher_name": "tf_efficientnet_lite2 at 260 px",
        "points": [point(0, 160, 2.6, 89.5, "chosen"), point(1, 128, 2.9, 60.0, "runner-up")],
        "why": "the most accurate that keeps 3 ms",
        "advice": ["more time: the loss was still falling"],
        "steps": [{"name": "latencies", "seconds": 60.0, "planned_seconds": 50.0}],
        "latency": {**latency("openvino", 2.1), "environment": ENVIRONMENT},
        "test": {**evaluation("test", 88.0), "environment": ENVIRONMENT},
        "validation": {**evaluation("val", 89.5), "environment": ENVIRONMENT},
        **changes,
    }
