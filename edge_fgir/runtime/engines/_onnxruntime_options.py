"""How every session of ONNX Runtime is opened."""

from __future__ import annotations

from typing import Any

_STOP_SPINNING = "session.force_spinning_stop"
_NO_OVERFLOW = "session.x64quantprecision"
_NOTHING = 4


def onnxruntime_options(*, exact: bool = False) -> Any:
    """Return ``onnxruntime.SessionOptions`` that prints nothing: errors are raised.

    With ``exact``, INT8 products are summed without overflow, as on ARM. The x86 kernels of CPUs
    that lack VNNI clip sums of two products to 16 bits, which is faster.

    Threads wait for work by spinning while a call runs, and sleep between calls. By default they
    spin on behind it: a camera app's next step, or the next network of a bench, then gets half of
    two cores (a ViT-Ti that follows another session took 2 times as long).
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = _NOTHING
    options.add_session_config_entry(_STOP_SPINNING, "1")
    if exact:
        options.add_session_config_entry(_NO_OVERFLOW, "1")
    return options
