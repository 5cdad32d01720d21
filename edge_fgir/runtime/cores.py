"""The processor: how much of it this process may use, and what it can."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath


def usable_cores(root: Path = Path("/")) -> int:
    """Return how many cores this process may use: those it may run on, or less by a quota of time.

    Args:
        root: What stands before ``proc`` and ``sys``.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return min(cores, granted_cores(root) or cores)


def granted_cores(root: Path = Path("/")) -> int | None:
    """Return to how many cores' time a control group, as of a container, limits this process.

    Rounded down: with a thread more than there is time for, all of them are stopped in turns.
    Engines count cores, and know no quota. None where there is none, or Linux does not tell.

    Args:
        root: What stands before ``proc`` and ``sys``.
    """
    limits = [quota / period for quota, period in _quotas(root) if quota > 0 and period > 0]
    return max(int(min(limits)), 1) if limits else None


def _quotas(root: Path) -> Iterator[tuple[int, int]]:
    """Yield (quota, period) of this process's control groups and of those around them."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":  # version 2, one tree for all
            top, files = root / "sys/fs/cgroup", ["cpu.max"]
        elif "cpu" in controllers.split(","):
            trees = (root / "sys/fs/cgroup" / name for name in (controllers, "cpu"))
            top = next((tree for tree in trees if tree.is_dir()), root / "sys/fs/cgroup/cpu")
            files = ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        else:
            continue
        group = PurePosixPath(path)
        # In a container the path may be the host's, and its own group the top of the tree.
        for each in (group, *group.parents):
            words = " ".join(_text(top / str(each).lstrip("/") / file) for file in files).split()
            if len(words) == 2 and words[0].isdigit() and words[1].isdigit():
                yield int(words[0]), int(words[1])


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


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
