"""The processor: how much of it this process may use, and what it can."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def clips_int8_sums() -> bool:
    """Say whether INT8 kernels of this processor clip sums of two products to 16 bits.

    x86 without VNNI has no other instruction for products of bytes. Where the system does not tell
    (it is not Linux), it is taken to be so.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return True
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return not {"avx512_vnni", "avx_vnni"} & set(flags)
