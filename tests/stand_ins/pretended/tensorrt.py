"""TensorRT as far as its builder's process needs it, for builds that must end badly.

What happens is said by the environment, which that process inherits: ``PRETENDED_VERSION``, and
``PRETENDED_END``, how a build ends. ``PRETENDED_LOG`` is a file that gets a JSON line for a build.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

__version__ = os.environ.get("PRETENDED_VERSION", "10.3.0")
NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)
if __version__.startswith("11"):
    del NetworkDefinitionCreationFlag.STRONGLY_TYPED
MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")
Logger = SimpleNamespace(ERROR="error")


class ILogger:
    ERROR, INTERNAL_ERROR = "error", "internal error"

    def log(self, severity: str, text: str) -> None:
        """What a builder calls; overridden."""


class IProgressMonitor:
    pass


class TimingCache:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def serialize(self) -> bytes:
        return self.data


class Config:
    progress_monitor: Any = None

    def __init__(self, logger: ILogger) -> None:
        self.limits: dict[str, int] = {}
        self.cache = TimingCache(b"")
        self.logger = logger

    def set_memory_pool_limit(self, pool: str, size: int) -> None:
        self.limits[pool] = size

    def create_timing_cache(self, data: bytes) -> TimingCache | None:
        if data and not data.startswith(b"timings of "):
            self.logger.log("error", "The timing cache will not be used!")
            return None
        return TimingCache(data)

    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        known = cache.data
        fits = not known or known.startswith(f"timings of {__version__}".encode())
        self.cache = cache if fits else self.cache
        return fits


class OnnxParser:
    num_errors = 0

    def __init__(self, network: object, logger: ILogger) -> None:
        pass

    def parse(self, onnx: bytes) -> bool:
        return True


class Builder:
    def __init__(self, logger: ILogger) -> None:
        self.logger = logger

    def create_network(self, flags: int) -> object:
        assert flags == (0 if __version__.startswith("11") else 2)
        return object()

    def create_builder_config(self) -> Config:
        return Config(self.logger)

    def build_serialized_network(self, network: object, config: Config) -> bytes | None:
        monitor = config.progress_monitor
        monitor.phase_start("Building", None, 2)
        monitor.phase_start("Timing kernels", "Building", 3)
        for step in range(3):
            monitor.step_complete("Timing kernels", step)
        monitor.phase_finish("Timing kernels")
        monitor.step_complete("Building", 0)
        self._log({"limits": config.limits, "timings": config.cache.data.decode()})
        end = os.environ.get("PRETENDED_END", "")
        if end == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        elif end == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif end == "raise":
            raise RuntimeError("no such function")
        elif end == "refuse":
            self.logger.log("error", "Could not find any implementation for node x")
            return None
        elif end == "noise":
            sys.stdout.write("a library of TensorRT's\n" * 100_000)
        elif end:
            time.sleep(float(end))
        monitor.step_complete("Building", 1)
        monitor.phase_finish("Building")
        config.cache.data = f"timings of {__version__}, more".encode()
        return b"plan of " + __version__.encode()

    def _log(self, entry: dict[str, object]) -> None:
        if log := os.environ.get("PRETENDED_LOG"):
            with Path(log).open("a") as file:
                file.write(json.dumps(entry) + "\n")
