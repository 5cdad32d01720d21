"""The most memory this process has held."""

from __future__ import annotations

from edge_fgir.benchmarking.sysfs import System, kilobytes_to_mb


def peak_memory_mb(system: System) -> float | None:
    """Return the largest resident set of this process so far (VmHWM), MiB; None off Linux."""
    return kilobytes_to_mb(system.field("proc/self/status", "VmHWM"))
