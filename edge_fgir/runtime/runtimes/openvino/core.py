"""The process's one OpenVINO core, and how every model is compiled on it."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

from edge_fgir.runtime.cores import granted_cores, usable_cores


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
    # Its converter of models, which takes more than half of the time, is for exports; OpenVINO does
    # without where it cannot be imported, and who imports it himself gets it.
    converter = "openvino.tools.ovc"
    absent = converter not in sys.modules
    if absent:
        sys.modules[converter] = None  # type: ignore[assignment]
    try:
        import openvino as ov
    finally:
        if absent:
            del sys.modules[converter]
    return ov.Core()


def has_bfloat16() -> bool:
    """Say whether this CPU computes in bfloat16; some that do not would emulate it, slowly."""
    return "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def compile_model(
    model: Any,
    device: str = "CPU",
    *,
    bfloat16: bool = False,
    many: bool = False,
    threads: int | None = None,
    precision: str | None = None,
) -> Any:
    """Compile an ``openvino.Model`` for a device, as the device and the export's gates run it.

    Args:
        model: It.
        device: As OpenVINO calls it.
        bfloat16: See :func:`hints_for`, as of the others.
        many: See there.
        threads: See there.
        precision: See there.
    """
    hints = hints_for(device, bfloat16=bfloat16, many=many, threads=threads, precision=precision)
    return openvino_core().compile_model(model, device, hints)


def hints_for(
    device: str,
    *,
    bfloat16: bool = False,
    many: bool = False,
    threads: int | None = None,
    precision: str | None = None,
) -> dict[str, Any]:
    """Return the properties that a model is compiled with.

    Args:
        device: As OpenVINO calls it.
        bfloat16: Compute float layers in bfloat16 where the CPU has it; else they are in float32.
        many: For many pictures, one a core, instead of one by all cores.
        threads: Cores of a CPU that compute one answer, and as many answers at once as there is
            room for; None: all on one.
        precision: What float layers are computed in, whatever ``bfloat16`` says.
    """
    hints: dict[str, Any] = {"PERFORMANCE_HINT": "THROUGHPUT" if many else "LATENCY"}
    if device == "CPU":
        # Where nothing is said, some CPUs compute the float layers in bfloat16: other answers.
        hints["INFERENCE_PRECISION_HINT"] = "bf16" if bfloat16 and has_bfloat16() else "f32"
        if threads is not None:
            streams = max(usable_cores() // threads, 1)
            hints |= {"NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": streams * threads}
        elif granted_cores() is not None:
            hints["INFERENCE_NUM_THREADS"] = usable_cores()
    if precision is not None:
        hints["INFERENCE_PRECISION_HINT"] = precision
    return hints
