"""How every session of ONNX Runtime is opened, on the device and by the export's gates."""

from __future__ import annotations

import os
from typing import Any

from edge_fgir.runtime.cores import clips_int8_sums, granted_cores, usable_cores

CPU = "CPUExecutionProvider"
_NOTHING = 4
_OPTIONS = {
    # Threads wait for work by spinning while a call runs, and sleep between calls. By default they
    # spin on behind it: a camera app's next step, or the next network of a bench, then gets half
    # of two cores (a ViT-Ti that follows another session took 2 times as long).
    "session.force_spinning_stop": "1",
    # Weights beside the file would be looked for in the current folder: none are, they have no
    # hash in the manifest.
    "session.model_external_initializers_file_folder_path": os.devnull,
    # Else it would open its own format too, which nobody has looked through.
    "session.load_model_format": "ONNX",
    # It takes zeros in front of a max pooling for the pooling's own padding, which is less than any
    # number: of a HGNet's maps, some of which are negative, other ones become the largest.
    "optimization.disable_specified_optimizers": "Pad_Fusion",
}
_NO_OVERFLOW = "session.x64quantprecision"


class SharedWeightError(Exception):
    """Exact INT8 sums are not to be had: two nodes share a weight that would be converted."""


def open_session(
    model: bytes,
    *,
    exact: bool = False,
    optimized: bool = True,
    provider: str = CPU,
    threads: int = 0,
) -> Any:
    """Open an ONNX file; nothing is printed, errors are raised.

    Args:
        model: The file.
        exact: INT8 products are summed without overflow, as on ARM. The x86 kernels of CPUs that
            lack VNNI clip sums of two products to 16 bits, which is faster.
        optimized: Let ONNX Runtime optimise the graph.
        provider: What computes, as ONNX Runtime calls it.
        threads: That compute one answer; 0: one a core.

    Returns:
        An ``onnxruntime.InferenceSession``.

    Raises:
        ImportError: ONNX Runtime is not installed.
        SharedWeightError: With ``exact``, ONNX Runtime fails where it would convert a weight once
            for each node that reads it.
    """
    import onnxruntime as ort
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail

    options = ort.SessionOptions()
    options.log_severity_level = _NOTHING
    options.intra_op_num_threads = threads or (usable_cores() if granted_cores() else 0)
    for name, value in _OPTIONS.items():
        options.add_session_config_entry(name, value)
    # Elsewhere it would only take time: a ViT-Ti twice as much on a processor with AMX.
    if exact and clips_int8_sums():
        options.add_session_config_entry(_NO_OVERFLOW, "1")
    if not optimized:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return ort.InferenceSession(model, options, providers=[provider])
    except Fail as error:
        if exact:
            raise SharedWeightError(str(error)) from error
        raise
