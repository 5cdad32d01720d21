"""What a number was measured on: processor, threads, clocks, versions."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version

from edge_fgir import __version__
from edge_fgir.benchmarking.sysfs import HERE, System, kilobytes_to_mb
from edge_fgir.results import Environment
from edge_fgir.runtime.runtimes import runtimes

_LIBRARIES = ("numpy", "pillow", "torch", "timm", "onnx", "nncf", "tensorrt-rtx-cu13", "ray")
_INSTRUCTIONS = (
    *("avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_bf16", "amx_int8"),
    *("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2"),
)
"""Of x86 and ARM, as Linux calls them: those that decide how fast a layer is in which precision."""


_GPU_DRIVERS = ("amdgpu", "i915", "nouveau", "xe")


def environment(system: System = HERE) -> Environment:
    """Describe a machine and the libraries installed here (none is imported).

    Args:
        system: The machine, as its files show it.
    """
    return Environment(
        date=datetime.now(timezone.utc).replace(microsecond=0),
        machine=platform.machine(),
        processor=_processor(system),
        instructions=tuple(_instructions(system)),
        board=system.text("proc/device-tree/model") or None,
        cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        gpus=tuple(_gpus(system)),
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


def _processor(system: System) -> str:
    for line in (system.text("proc/cpuinfo") or "").splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _instructions(system: System) -> list[str]:
    """Return the vector instructions: virtual machines of unlike processors share one name."""
    flags = system.field("proc/cpuinfo", "flags") or system.field("proc/cpuinfo", "Features")
    known = (flags or "").split()
    return [name for name in _INSTRUCTIONS if name in known]


def _gpus(system: System) -> list[str]:
    """Return the graphics processors: NVIDIA's by name, others by driver and PCI number."""
    nvidia = [
        system.field(path, "Model") or ""
        for path in system.files("proc/driver/nvidia/gpus/*/information")
    ]
    if not any(nvidia):  # a container or WSL may show the tool alone
        query = ("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
        nvidia = (system.run(query) or "").splitlines()
    others = []
    for path in system.files("sys/class/drm/card[0-9]*/device/uevent"):
        facts = dict(line.partition("=")[::2] for line in (system.text(path) or "").splitlines())
        if facts.get("DRIVER") in _GPU_DRIVERS and "-" not in path.parts[-3]:
            others.append(f"{facts['DRIVER']} {facts.get('PCI_ID', '')}".strip())
    return [name.strip() for name in (*nvidia, *others) if name.strip()]


def _memory_mb(system: System) -> int | None:
    memory = kilobytes_to_mb(system.field("proc/meminfo", "MemTotal"))
    return None if memory is None else int(memory)
