"""What a machine is set to, and what it is busy with, before anything is measured."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from edge_fgir.results import Preconditions
from edge_fgir.runtime.machine import System, kilobytes_to_mb, ranges, to_int

_POLICIES = "sys/devices/system/cpu/cpu[0-9]*/cpufreq/"
_JETSON = "etc/nv_tegra_release"


def preconditions(system: System) -> Preconditions:
    """Describe the machine before a run."""
    load = (system.text("proc/loadavg") or "").split()
    return Preconditions(
        load_1min=float(load[0]) if load else None,
        governors=_distinct(system, "scaling_governor"),
        frequency_mhz=_frequencies(system),
        turbo=_turbo(system),
        affinity=ranges(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        cpu_limit=_cpu_limit(system),
        power_mode=_power_mode(system),
        swap_used_mb=_swap_used(system),
        memory_available_mb=kilobytes_to_mb(system.field("proc/meminfo", "MemAvailable")),
        virtual_machine=system.is_virtual,
    )


def _distinct(system: System, name: str) -> tuple[str, ...] | None:
    texts = {system.text(path) for path in system.files(_POLICIES + name)}
    return tuple(sorted(text for text in texts if text)) or None


def _frequencies(system: System) -> tuple[float, float] | None:
    low, high = (
        [value for path in system.files(_POLICIES + name) if (value := system.number(path))]
        for name in ("scaling_min_freq", "scaling_max_freq")
    )
    return (min(low) / 1e3, max(high) / 1e3) if low and high else None


def _turbo(system: System) -> bool | None:
    off = system.number("sys/devices/system/cpu/intel_pstate/no_turbo")
    if off is not None:
        return not off
    on = system.number("sys/devices/system/cpu/cpufreq/boost")
    return None if on is None else bool(on)


def _cpu_limit(system: System) -> float | None:
    """Return the smallest quota on the way from this process's control group to the root."""
    limits = []
    for line in (system.text("proc/self/cgroup") or "").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = f"sys/fs/cgroup/{controllers}" if controllers else "sys/fs/cgroup"
        # Inside a container the group's path is often the host's: then only the root is there.
        for place in (PurePosixPath(group), *PurePosixPath(group).parents):
            quota, period = _quota(system, Path(top, str(place).lstrip("/")), v2=not controllers)
            if quota and period and quota > 0:
                limits.append(quota / period)
    return min(limits, default=None)


def _quota(system: System, group: Path, *, v2: bool) -> tuple[int | None, int | None]:
    if v2:
        quota, _, period = (system.text(group / "cpu.max") or "").partition(" ")
        return to_int(quota), to_int(period)
    return system.number(group / "cpu.cfs_quota_us"), system.number(group / "cpu.cfs_period_us")


def _power_mode(system: System) -> str | None:
    if system.text(_JETSON) is not None:
        for line in (system.run(("nvpmodel", "-q")) or "").splitlines():
            if line.startswith("NV Power Mode:"):
                return line.partition(":")[2].strip()
    return system.text("sys/firmware/acpi/platform_profile") or None


def _swap_used(system: System) -> float | None:
    total, free = (
        kilobytes_to_mb(system.field("proc/meminfo", name)) for name in ("SwapTotal", "SwapFree")
    )
    return None if total is None or free is None else round(total - free, 1)
