"""No network unless asked."""

from __future__ import annotations

import sys


def refuse_telemetry() -> None:
    """Keep OpenVINO and NNCF from sending usage data; call it before importing either.

    Both treat ``openvino_telemetry`` as optional; a None entry makes its import fail.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
