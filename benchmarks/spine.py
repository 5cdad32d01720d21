"""The spine's promises, measured: latency against torch and benchmark_app, import, wheel, memory.

Run after `make demo`:  .venv/bin/python benchmarks/spine.py
Everything that is compared is measured in this one run, interleaved; medians are shown.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from edge_fgir._files import write_json
from edge_fgir.benchmarking import Protocol, environment, measure
from edge_fgir.results import Fit, read_result
from edge_fgir.runs import Run
from edge_fgir.runtime import Classifier, is_bfloat16
from edge_fgir.runtime.runtimes.openvino import has_bfloat16

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "demo" / "cells.fit.json"
ROUNDS = 5

_IMPORT = """
import json, sys, time
start = time.perf_counter()
import edge_fgir
print(json.dumps([1e3 * (time.perf_counter() - start), "torch" in sys.modules]))
"""

_DEVICE = r"""
import json, re, sys
from pathlib import Path
import numpy as np
from edge_fgir import Classifier
with Classifier.open(sys.argv[1]) as model:
    side = model.image_size
    frame = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    for _ in range(1000):
        model(frame)
# Not ru_maxrss: a child starts with its parent's.
peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps([peak, "torch" in sys.modules]))
"""


def main() -> None:
    """Measure, print and write ``benchmarks/results/spine.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, help="default: the demo's")
    parser.add_argument("--run", type=Path, help="what it was exported from; default: the demo's")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "spine.json")
    arguments = parser.parse_args()
    if (arguments.bundle is None) != (arguments.run is None):
        parser.error("--bundle and --run go together")
    bundle, run = arguments.bundle, arguments.run
    if bundle is None:
        if not DEMO.exists():
            parser.error(f"{DEMO} does not exist; run: make demo")
        bundle, run = _of_demo()

    rows = [
        against_torch(bundle, run, arguments.seconds),
        against_benchmark_app(bundle, arguments.seconds),
        import_time(),
        wheel_size(),
        device_memory(bundle),
    ]
    print(f"{'what':58} {'measured':>12} {'to reach':>12}")
    for row in rows:
        mark = "ok" if row["ok"] else "MISSED"
        print(f"{row['what']:58} {row['value']:>10.4g} {row['unit']:1} {row['bound']:>12} {mark}")
    write_json(
        arguments.out,
        {
            "schema": "edge-fgir/benchmark/1",
            "rows": rows,
            "environment": environment().model_dump(mode="json"),
        },
    )


def _of_demo() -> tuple[Path, Path]:
    """Return the demo's bundle and the run that it was exported from."""
    fit = read_result(DEMO, Fit)
    best = fit.candidates[fit.chosen.candidate].best
    assert best is not None
    return ROOT / fit.bundle, ROOT / best.run


def row(what: str, value: float, unit: str, bound: str, ok: bool, **details: Any) -> dict[str, Any]:
    """Return one line of the table."""
    return {
        "what": what,
        "value": value,
        "unit": unit,
        "bound": bound,
        "ok": ok,
        "details": details,
    }


def against_torch(bundle: Path, run: Path, seconds: float) -> dict[str, Any]:
    """Compare the bundle's network with the same model in torch eager, both on sized input."""
    import torch

    from edge_fgir.models.inference import normalized

    opened = Run.open(run)

    trained, network = opened.description, opened.load()
    side = trained.preprocess.size
    pixels = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    image = normalized(torch.from_numpy(pixels).permute(0, 3, 1, 2), trained.normalization)
    image = image.contiguous()

    def eager() -> object:
        with torch.inference_mode():
            return network(image)

    with Classifier.open(bundle) as model:
        calls: dict[str, Callable[[], object]] = {
            "torch": eager,
            "bundle": lambda: model.infer(pixels),
        }
        found = measure(calls, Protocol(seconds=seconds))
    ratio = found["torch"].p50_ms / found["bundle"].p50_ms
    return row(
        "INT8 OpenVINO bundle, times faster than torch eager",
        ratio,
        "x",
        ">= 6",
        ratio >= 6,
        **{name: latency.model_dump(mode="json") for name, latency in found.items()},
    )


def against_benchmark_app(bundle: Path, seconds: float, rounds: int = ROUNDS) -> dict[str, Any]:
    """Compare ``Classifier(frame)``, frame already sized, with OpenVINO's own benchmark_app."""
    theirs, ours = [], []
    with Classifier.open(bundle) as model:
        side = model.image_size
        frame = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
        bfloat16 = is_bfloat16(model.info["precision"]) and has_bfloat16()
        for _ in range(rounds):
            theirs.append(benchmark_app(bundle / "openvino" / "model.xml", bfloat16, seconds))
            latency = measure({"ours": lambda: model(frame)}, Protocol(seconds=seconds))["ours"]
            ours.append(latency.p50_ms)
    overhead = 100 * (median(ours) / median(theirs) - 1)
    return row(
        "Classifier(frame) over benchmark_app -hint latency",
        overhead,
        "%",
        "<= 5",
        overhead <= 5,
        classifier_p50_ms=ours,
        benchmark_app_p50_ms=theirs,
    )


def benchmark_app(model: Path, bfloat16: bool, seconds: float) -> float:
    """Return benchmark_app's median latency, milliseconds, in the same arithmetic.

    Left alone, it computes float layers in bfloat16 where the processor has it.
    """
    command = [str(Path(sys.executable).parent / "benchmark_app"), "-m", str(model), "-d", "CPU"]
    command += ["-hint", "latency", "-infer_precision", "bf16" if bfloat16 else "f32"]
    command += ["-t", str(max(1, round(seconds)))]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Median:\s+([\d.]+) (ms|us)", text)
    if found is None:
        raise RuntimeError(f"benchmark_app printed no median:\n{text}")
    return float(found[1]) / (1000 if found[2] == "us" else 1)


def import_time() -> dict[str, Any]:
    """Measure ``import edge_fgir`` in fresh processes."""
    found = [json.loads(_python(_IMPORT)) for _ in range(2 * ROUNDS)]
    times = [milliseconds for milliseconds, _ in found]
    ok = median(times) < 150 and not any(torch for _, torch in found)
    return row(
        "import edge_fgir (no torch in it)", median(times), "ms", "< 150", ok, times_ms=times
    )


def wheel_size() -> dict[str, Any]:
    """Build the wheel and weigh it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        command += ["--no-build-isolation", "--wheel-dir", folder, str(ROOT)]
        subprocess.run(command, check=True, capture_output=True)
        (wheel,) = Path(folder).glob("*.whl")
        megabytes = wheel.stat().st_size / 1e6
    return row("base wheel", megabytes, "MB", "< 1", megabytes < 1)


def device_memory(bundle: Path) -> dict[str, Any]:
    """Measure the peak memory of a process that opens the bundle and predicts 1,000 times."""
    peak, torch = json.loads(_python(_DEVICE, str(bundle)))
    return row(
        "device process: open + 1,000 predictions, peak RSS",
        peak,
        "MB",
        "< 300",
        peak < 300 and not torch,
    )


def _python(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
