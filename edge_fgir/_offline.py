"""No network unless asked: what libraries send about their use is switched off."""

from __future__ import annotations

import os
import sys


def refuse_telemetry() -> None:
    """Keep ONNX Runtime, OpenVINO, NNCF, Ray and Hugging Face's library from sending usage data.

    ``edge_fgir`` calls it when it is imported, because ONNX Runtime (since 1.31, on Linux too)
    reads its variable while it is imported itself, and writes a device id to the user's cache
    there and then. OpenVINO and NNCF treat ``openvino_telemetry`` as optional; a None entry makes
    its import fail.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = os.environ["HF_HUB_DISABLE_UPDATE_CHECK"] = "1"
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
