"""What Frigate's interpreter says of crops, as Frigate asks it; started by ``frigate.py``.

    python benchmarks/frigate_replay.py MODEL < crops.txt > scores.json

runs in an environment of its own, which has NumPy, OpenCV and one interpreter, and not edge-fgir.
Crops are named a line each. Of the time of one answer the least counts, as other work on the
machine only adds to it. The contract is written down in ``docs/frigate.md``.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np

SIDE, THREADS = 224, 2
_INTERPRETERS = (  # as Frigate looks for them; its image has the first one
    ("tflite_runtime.interpreter", "tflite-runtime"),
    ("ai_edge_litert.interpreter", "ai-edge-litert"),
    ("tensorflow.lite.python.interpreter", "tensorflow-cpu"),  # of the same source as the first
)


def interpreter_of(model: Path) -> tuple[Any, str]:
    """Return the interpreter that is installed, with the model, and its name with its version."""
    for module, package in _INTERPRETERS:
        try:
            found = import_module(module).Interpreter
        except ModuleNotFoundError:
            continue
        made = found(model_path=str(model), num_threads=THREADS)
        made.allocate_tensors()
        return made, f"{package} {metadata.version(package)}"
    raise SystemExit("no interpreter is installed")


def main() -> None:
    """Ask and print."""
    interpreter, name = interpreter_of(Path(sys.argv[1]))
    given, told = (
        details()[0]["index"]
        for details in (interpreter.get_input_details, interpreter.get_output_details)
    )
    scores, fastest = [], float("inf")
    for line in sys.stdin.read().splitlines():
        crop = cv2.cvtColor(cv2.imread(line), cv2.COLOR_BGR2RGB)
        interpreter.set_tensor(given, np.expand_dims(cv2.resize(crop, (SIDE, SIDE)), axis=0))
        began = time.perf_counter()
        interpreter.invoke()
        fastest = min(fastest, time.perf_counter() - began)
        scores.append(interpreter.get_tensor(told)[0].tolist())
    told_of = {"interpreter": name, "fastest_ms": round(1e3 * fastest, 1), "scores": scores}
    json.dump(told_of, sys.stdout)


if __name__ == "__main__":
    main()
