"""LiteRT (TensorFlow Lite) on the CPU by XNNPACK: Raspberry Pi, Android, x86."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_fgir.runtime.engine_options import EngineOptions
from edge_fgir.runtime.runtimes.litert.interpreter import (
    LIBRARY,
    left_by_xnnpack,
    open_interpreter,
)
from edge_fgir.runtime.runtimes.spec import Engine, RuntimeSpec

if TYPE_CHECKING:
    from edge_fgir.runtime.bundle import Bundle


def _open(bundle: Bundle, options: EngineOptions) -> Engine:
    from edge_fgir.runtime.runtimes.litert.engine import LiteRtEngine

    return LiteRtEngine(bundle, threads=options.threads)


LITERT = RuntimeSpec(
    name="litert",
    library=LIBRARY,
    install='run: pip install "edge-fgir[litert]"',
    devices=("cpu",),
    open=_open,
)

__all__ = ["LITERT", "left_by_xnnpack", "open_interpreter"]
