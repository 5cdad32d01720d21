"""The process's one OpenVINO core, and how every model is compiled on it."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def openvino_core() -> Any:
    """Return the process's ``openvino.Core``, which is made once and never destroyed.

    Every core's CPU plugin gives the thread an alternate signal stack and takes it away in its
    destructor. Cores that end in the order they began leave the thread with a stack that is no
    longer mapped, and the next signal (Ctrl-C, the end of a child process) kills the process
    (OpenVINO's ``SigAltStackSetup``, openvinotoolkit/openvino pull request 11894).

    Raises:
        ImportError: OpenVINO is not installed.
    """
    import openvino as ov

    return ov.Core()


def compile_model(model: Any, device: str = "CPU") -> Any:
    """Compile an ``openvino.Model`` for a device, as the device and the export's gates run it."""
    hints = {"PERFORMANCE_HINT": "LATENCY"}
    if device == "CPU":
        # Where nothing is said, some CPUs compute the float layers in bfloat16: other answers.
        hints["INFERENCE_PRECISION_HINT"] = "f32"
    return openvino_core().compile_model(model, device, hints)
