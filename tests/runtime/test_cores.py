"""How many cores a process may use: by the cores it may run on, and by a control group's quota."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_fgir.runtime.cores import granted_cores, usable_cores

pytestmark = pytest.mark.unit

TWO = {"proc/self/cgroup": "0::/a/b\n"}
ONE = {"proc/self/cgroup": "2:cpuacct:/x\n1:cpu,cpuacct:/docker/1\n0::/\n"}


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, None),
        ({**TWO}, None),
        ({**TWO, "sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}, None),
        ({**TWO, "sys/fs/cgroup/a/b/cpu.max": "350000 100000\n"}, 3),
        ({**TWO, "sys/fs/cgroup/a/b/cpu.max": "20000 100000\n"}, 1),
        # A group around its own allows less; in a container its own is the top.
        (
            {
                **TWO,
                "sys/fs/cgroup/a/b/cpu.max": "400000 100000\n",
                "sys/fs/cgroup/a/cpu.max": "200000 100000\n",
            },
            2,
        ),
        ({**TWO, "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        # Version 1 writes -1 where there is no quota.
        (
            {
                **ONE,
                "sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/docker/1/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
        (
            {
                **ONE,
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "150000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "50000\n",
            },
            3,
        ),
        ({**TWO, "sys/fs/cgroup/a/b/cpu.max": "0 0\n"}, None),
        ({**TWO, "sys/fs/cgroup/a/b/cpu.max": "nonsense\n"}, None),
    ],
    ids=range(11),
)
def test_a_quota_of_time_is_so_many_cores(tmp_path: Path, files, cores) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert granted_cores(tmp_path) == cores
    own = len(os.sched_getaffinity(0))
    assert usable_cores(tmp_path) == min(own, cores or own)


def test_the_cores_that_a_process_may_run_on_are_counted(tmp_path: Path) -> None:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        assert usable_cores(tmp_path) == 1
    finally:
        os.sched_setaffinity(0, cores)
