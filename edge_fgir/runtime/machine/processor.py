"""The processor: its name and what it can."""

from __future__ import annotations

import platform

from edge_fgir.runtime.machine.sysfs import HERE, System

_INSTRUCTIONS = (
    *("avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_bf16", "amx_int8"),
    *("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2"),
)
"""Of x86 and ARM, as Linux calls them: those that decide how fast a layer is in which precision."""


def processor(system: System = HERE) -> str:
    """Return its name."""
    for line in (system.text("proc/cpuinfo") or "").splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def instructions(system: System = HERE) -> tuple[str, ...]:
    """Return the vector instructions: virtual machines of unlike processors share one name."""
    flags = system.field("proc/cpuinfo", "flags") or system.field("proc/cpuinfo", "Features")
    known = (flags or "").split()
    return tuple(name for name in _INSTRUCTIONS if name in known)
