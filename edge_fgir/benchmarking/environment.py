"""What a number was measured on: processor, threads, clocks, versions."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version

from edge_fgir import __version__
from edge_fgir.results import Environment
from edge_fgir.runtime.machine import (
    HERE,
    System,
    gpus,
    instructions,
    kilobytes_to_mb,
    processor,
)
from edge_fgir.runtime.runtimes import runtimes

_LIBRARIES = ("numpy", "pillow", "torch", "timm", "onnx", "nncf", "tensorrt-rtx-cu13", "ray")


def environment(system: System = HERE) -> Environment:
    """Describe a machine and the libraries installed here (none is imported).

    Args:
        system: The machine, as its files show it.
    """
    return Environment(
        date=datetime.now(timezone.utc).replace(microsecond=0),
        machine=platform.machine(),
        processor=processor(system),
        instructions=instructions(system),
        board=system.text("proc/device-tree/model") or None,
        cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        gpus=gpus(system),
        memory_mb=_memory_mb(system),
        governor=system.text("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or None,
        load_1min=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        system=platform.platform(),
        python=platform.python_version(),
        versions=library_versions(),
    )


def library_versions() -> dict[str, str]:
    """Return the versions of edge-fgir and of the libraries that matter, where installed."""
    versions = {"edge-fgir": __version__}
    for name in (*_LIBRARIES, *(spec.library for spec in runtimes())):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _memory_mb(system: System) -> int | None:
    memory = kilobytes_to_mb(system.field("proc/meminfo", "MemTotal"))
    return None if memory is None else int(memory)
