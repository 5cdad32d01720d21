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


def has_bfloat16() -> bool:
    """Say whether this CPU computes in bfloat16; some that do not would emulate it, slowly."""
    return "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def compile_model(
    model: Any, device: str = "CPU", *, bfloat16: bool = False, many: bool = False
) -> Any:
    """Compile an ``openvino.Model`` for a device, as the device and the export's gates run it.

    Args:
        model: It.
        device: As OpenVINO calls it.
        bfloat16: Compute float layers in bfloat16 where the CPU has it; else they are in float32.
        many: For many pictures, one a core, instead of one by all cores.
    """
    hints = {"PERFORMANCE_HINT": "THROUGHPUT" if many else "LATENCY"}
    if device == "CPU":
        # Where nothing is said, some CPUs compute the float layers in bfloat16: other answers.
        hints["INFERENCE_PRECISION_HINT"] = "bf16" if bfloat16 and has_bfloat16() else "f32"
    return openvino_core().compile_model(model, device, hints)
