"""What a camera app waits for: import, opening, a call, calls from several threads, memory.

Run:  .venv/bin/python benchmarks/runtime.py
It makes INT8 bundles of an LRN14 at 128 px with random weights, and needs what `export` needs. What
is compared is measured in turns, in this one run. `benchmark_app` comes with OpenVINO.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import spine

from edge_fgir._files import write_json
from edge_fgir.benchmarking import environment
from edge_fgir.exporting import read_target, timing_graph, write_timing_bundle
from edge_fgir.models import Network
from edge_fgir.runs import TrainedModel
from edge_fgir.runtime import DataInfo, Normalization, Preprocess

ROOT = Path(__file__).resolve().parents[1]
TARGETS = ("openvino", "arm")
SIDE, CLASSES = 128, 200
THREADS = (1, 2, 4)

row: Callable[..., dict[str, Any]] = spine.row

_IMPORT = """
import time
start = time.perf_counter()
{code}
print(1e3 * (time.perf_counter() - start))
"""

_OPEN = """
import os, sys, time
import numpy as np
os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])
from edge_fgir import Classifier
frame = np.zeros((480, 640, 3), np.uint8)
start = time.perf_counter()
Classifier.open(sys.argv[1])(frame)
print(1e3 * (time.perf_counter() - start))
"""

_OPEN_OPENVINO = """
import os, sys, time
import numpy as np
os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])
pixels = np.zeros((1, {side}, {side}, 3), np.uint8)
start = time.perf_counter()
import openvino
hints = {{"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}}
openvino.Core().compile_model(sys.argv[1] + "/openvino/model.xml", "CPU", hints)([pixels])
print(1e3 * (time.perf_counter() - start))
"""

_OPEN_ONNXRUNTIME = """
import os, sys, time
import numpy as np
os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])
pixels = np.zeros((1, {side}, {side}, 3), np.uint8)
start = time.perf_counter()
import onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1] + "/model.onnx")
session.run(None, {{session.get_inputs()[0].name: pixels}})
print(1e3 * (time.perf_counter() - start))
"""

PLAIN = {"openvino": _OPEN_OPENVINO, "arm": _OPEN_ONNXRUNTIME}

_THREADS = """
import json, sys, time
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from edge_fgir import Classifier, EngineOptions
cores = int(sys.argv[2]) or None
dice = np.random.default_rng(0)
with Classifier.open(sys.argv[1], EngineOptions(threads=cores)) as model:
    side = model.image_size
    frames = [dice.integers(0, 256, (side, side, 3), dtype=np.uint8) for _ in range(64)]
    alone = [model(frame) for frame in frames]
    found = {}
    for count in json.loads(sys.argv[3]) * 3:
        with ThreadPoolExecutor(count) as pool:
            calls, same = 0, True
            start = time.perf_counter()
            while time.perf_counter() - start < float(sys.argv[4]):
                same &= list(pool.map(model, frames)) == alone
                calls += len(frames)
            rate = calls / (time.perf_counter() - start)
        best, all_same = found.get(count, (0.0, True))
        found[count] = max(best, rate), all_same and same
print(json.dumps(found))
"""

_MEMORY = r"""
import json, re, sys
from pathlib import Path
import numpy as np
from edge_fgir import Classifier
def resident():
    return int(re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
with Classifier.open(sys.argv[1]) as model:
    frame = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    for _ in range(500):
        model(frame)
    before = resident()
    for _ in range(int(sys.argv[2])):
        model(frame)
    print(json.dumps([before, resident()]))
"""


def main() -> None:
    """Measure, print and write ``benchmarks/results/runtime.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each part")
    parser.add_argument("--turns", type=int, default=15, help="new processes of each kind")
    parser.add_argument("--rounds", type=int, default=spine.ROUNDS, help="beside benchmark_app")
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument(
        "--out", type=Path, default=ROOT / "benchmarks" / "results" / "runtime.json"
    )
    arguments = parser.parse_args()
    began = environment()
    with tempfile.TemporaryDirectory() as folder:
        bundles = {target: build(target, Path(folder)) for target in TARGETS}
        rows = [import_time(arguments.turns)]
        rows += opening(bundles, arguments.turns)
        beside = spine.against_benchmark_app(
            bundles["openvino"], arguments.seconds, arguments.rounds
        )
        rows.append({**beside, "what": f"openvino: {beside['what']}"})
        for target, bundle in bundles.items():
            rows += threads(target, bundle, arguments.seconds)
            rows.append(memory(target, bundle, arguments.calls))
    print(f"{'what':66} {'measured':>12} {'to reach':>14}")
    for one in rows:
        mark = "ok" if one["ok"] else "MISSED"
        print(f"{one['what']:66} {one['value']:>9.4g} {one['unit']:2} {one['bound']:>14} {mark}")
    write_json(
        arguments.out,
        {
            "schema": "edge-fgir/benchmark/1",
            "rows": rows,
            # Of the start: at the end, the load is this benchmark's own.
            "environment": began.model_dump(mode="json"),
        },
    )


def build(name: str, folder: Path) -> Path:
    """Write an INT8 bundle for a target, whose weights nobody trained."""
    trained = TrainedModel(
        name="lrnet14",
        network=Network(name="lrnet14"),
        num_classes=CLASSES,
        normalization=Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        preprocess=Preprocess(size=SIDE),
        data=DataInfo(name="none", licence="", hash="0" * 64),
    )
    target = read_target(name)
    graph = timing_graph(trained, target)
    return write_timing_bundle(trained, target, "int8", graph, folder / f"{name}.fgir").path


def in_turns(codes: Mapping[str, Sequence[str]], turns: int) -> dict[str, list[float]]:
    """Run programs in new processes, one after another, several times; each prints milliseconds."""
    found: dict[str, list[float]] = {name: [] for name in codes}
    for _ in range(turns):
        for name, (code, *more) in codes.items():
            found[name].append(float(_python(code, *more)))
    return found


def import_time(turns: int) -> dict[str, Any]:
    """Measure ``from edge_fgir import Classifier``, and what of it is numpy."""
    codes = {
        "Classifier": "from edge_fgir import Classifier",
        "numpy": "import numpy",
        "everything open needs": "from edge_fgir.runtime import Bundle, Classifier, open_engine",
    }
    found = in_turns({name: [_IMPORT.format(code=code)] for name, code in codes.items()}, turns)
    value = median(found["Classifier"])
    return row(
        "from edge_fgir import Classifier", value, "ms", "<= 100", value <= 100, times_ms=found
    )


def opening(bundles: dict[str, Path], turns: int) -> list[dict[str, Any]]:
    """Measure opening to the first answer on one core, beside the runtime alone."""
    codes = {}
    for target, bundle in bundles.items():
        codes[target] = [_OPEN, str(bundle)]
        codes[f"{target} alone"] = [PLAIN[target].format(side=SIDE), str(bundle)]
    found = in_turns(codes, turns)
    return [
        row(
            f"{target}: open to first result on one core",
            value := median(found[target]),
            "ms",
            "<= 400",
            value <= 400,
            times_ms=found[target],
            runtime_alone_ms=found[f"{target} alone"],
        )
        for target in bundles
    ]


def threads(target: str, bundle: Path, seconds: float) -> list[dict[str, Any]]:
    """Measure answers a second from several threads, and whether they are those of one."""
    rows = []
    for cores, name in ((0, "all cores an answer"), (1, "one core an answer")):
        asked = json.dumps(THREADS)
        found = json.loads(_python(_THREADS, str(bundle), str(cores), asked, str(seconds / 3)))
        rates = {count: rate for count, (rate, _) in found.items()}
        same = all(one for _, one in found.values())
        gain = max(rates.values()) / rates["1"]
        rows.append(
            row(
                f"{target}, {name}: best of {len(THREADS)} thread counts over one thread",
                gain,
                "x",
                "same answers",
                same,
                answers_a_second=rates,
                cores=len(os.sched_getaffinity(0)),
            )
        )
    return rows


def memory(target: str, bundle: Path, calls: int) -> dict[str, Any]:
    """Measure how much memory a process has more after many calls."""
    before, after = json.loads(_python(_MEMORY, str(bundle), str(calls)))
    growth = 100 * (after / before - 1)
    return row(
        f"{target}: resident memory after {calls:,} more calls",
        growth,
        "%",
        "< 1",
        growth < 1,
        before_mb=before,
        after_mb=after,
    )


def _python(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
