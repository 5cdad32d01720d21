"""No network unless asked."""

from __future__ import annotations

import os
import sys


def refuse_telemetry() -> None:
    """Keep OpenVINO, NNCF and Ray from sending usage data; call it before importing any of them.

    The first two treat ``openvino_telemetry`` as optional; a None entry makes its import fail.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
