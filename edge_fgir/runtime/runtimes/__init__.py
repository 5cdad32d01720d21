"""Runtimes: what computes a bundle's model. Each library is imported when it is used."""

from __future__ import annotations

from edge_fgir.runtime.engine_options import AUTO, Device, EngineOptions
from edge_fgir.runtime.runtimes.choice import (
    RuntimeChoice,
    choose_runtime,
    remember_runtimes,
    runtimes_here,
)
from edge_fgir.runtime.runtimes.opening import open_engine
from edge_fgir.runtime.runtimes.pool import Pool
from edge_fgir.runtime.runtimes.registry import (
    check_runtime,
    device_names,
    find_runtime,
    forget_runtime,
    register_runtime,
    runtimes,
)
from edge_fgir.runtime.runtimes.spec import Answer, Engine, Probabilities, Replay, RuntimeSpec

__all__ = [
    "AUTO",
    "Answer",
    "Device",
    "Engine",
    "EngineOptions",
    "Pool",
    "Probabilities",
    "Replay",
    "RuntimeChoice",
    "RuntimeSpec",
    "check_runtime",
    "choose_runtime",
    "device_names",
    "find_runtime",
    "forget_runtime",
    "open_engine",
    "register_runtime",
    "remember_runtimes",
    "runtimes",
    "runtimes_here",
]
