"""What a number was measured on: processor, threads, clocks, versions."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edge_fgir import __version__

_LIBRARIES = (
    *("numpy", "pillow", "openvino", "onnxruntime", "tensorrt"),
    *("torch", "timm", "onnx", "nncf", "tensorrt-rtx-cu13", "ray"),
)
_INSTRUCTIONS = (
    *("avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_bf16", "amx_int8"),
    *("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2"),
)
"""Of x86 and ARM, as Linux calls them: those that decide how fast a layer is in which precision."""


def environment() -> dict[str, Any]:
    """Describe this machine and the libraries installed on it (none is imported)."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "processor": _processor(),
        "instructions": _instructions(),
        "board": _read("/proc/device-tree/model"),
        "cpus": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_mb": _memory_mb(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": library_versions(),
    }


def library_versions() -> dict[str, str]:
    """Return the versions of edge-fgir and of the libraries that matter, where installed."""
    found = {"edge-fgir": __version__}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        if line.startswith(("model name", "Model")):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def _instructions() -> list[str]:
    """Return the vector instructions: virtual machines of unlike processors share one name."""
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        if line.startswith(("flags", "Features")):
            known = set(line.split(":", 1)[1].split())
            return [name for name in _INSTRUCTIONS if name in known]
    return []


def _memory_mb() -> int | None:
    for line in (_read("/proc/meminfo") or "").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    return None


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(errors="replace").strip().rstrip("\0") or None
    except OSError:
        return None
