"""TensorRT-RTX under TensorRT's name, building for a GPU that is not here.

What it parses, builds and reports is real; only its timing cache holds nothing.
"""

from __future__ import annotations

from typing import Any

import tensorrt_rtx as rtx
from tensorrt_rtx import *  # noqa: F403

__version__ = rtx.__version__


class Builder(rtx.Builder):
    def create_builder_config(self) -> Any:
        config = super().create_builder_config()
        config.num_compute_capabilities = 1
        config.set_compute_capability(rtx.ComputeCapability.SM86, 0)
        return config
