from __future__ import annotations

import os

import pytest

from edge_fgir.benchmarking.preconditions import preconditions
from edge_fgir.results import Preconditions
from edge_fgir.runtime.machine import HERE, ranges

pytestmark = pytest.mark.unit

CPU = "sys/devices/system/cpu/"


def test_a_machine_with_all_its_settings(machine):
    for cpu, governor, low, high in ((0, "performance", 400, 2400), (4, "schedutil", 600, 3000)):
        policy = f"{CPU}cpu{cpu}/cpufreq/"
        machine.write(
            {
                policy + "scaling_governor": governor,
                policy + "scaling_min_freq": low * 1000,
                policy + "scaling_max_freq": high * 1000,
            }
        )
    machine.write(
        {
            CPU + "intel_pstate/no_turbo": 1,
            "proc/loadavg": "1.25 0.80 0.40 3/512 4711",
            "proc/meminfo": "MemTotal: 9 kB\nMemAvailable: 2048 kB\nSwapTotal: 4096 kB\n"
            "SwapFree: 1024 kB",
            "sys/firmware/acpi/platform_profile": "balanced",
        }
    )
    found = preconditions(machine.system).model_dump(mode="json")
    if hasattr(os, "sched_getaffinity"):
        assert found["affinity"] == ranges(os.sched_getaffinity(0))
    assert {**found, "affinity": "0"} == {
        "load_1min": 1.25,
        "governors": ["performance", "schedutil"],
        "frequency_mhz": [400.0, 3000.0],
        "turbo": False,
        "affinity": "0",
        "cpu_limit": None,
        "power_mode": "balanced",
        "swap_used_mb": 3.0,
        "memory_available_mb": 2.0,
        "virtual_machine": False,
    }


def test_turbo_of_other_drivers(machine):
    machine.write({CPU + "cpufreq/boost": 1})
    assert preconditions(machine.system).turbo is True


def test_the_tightest_limit_of_a_container_counts(machine):
    machine.write(
        {
            "proc/self/cgroup": "0::/pod/app",
            "sys/fs/cgroup/pod/app/cpu.max": "max 100000",
            "sys/fs/cgroup/pod/cpu.max": "150000 100000",
            "sys/fs/cgroup/cpu.max": "400000 100000",
        }
    )
    assert preconditions(machine.system).cpu_limit == 1.5


def test_a_container_that_sees_its_own_group_as_the_root(machine):
    machine.write({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "50000 100000"})
    assert preconditions(machine.system).cpu_limit == 0.5


@pytest.mark.parametrize(("quota", "limit"), [(250000, 2.5), (-1, None)])
def test_the_first_version_of_control_groups(machine, quota, limit):
    machine.write(
        {
            "proc/self/cgroup": "3:memory:/docker/7\n2:cpu,cpuacct:/docker/7",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": quota,
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": 100000,
        }
    )
    assert preconditions(machine.system).cpu_limit == limit


def test_the_power_mode_of_a_jetson(machine):
    machine.write({"etc/nv_tegra_release": "# R36 (release)"})
    machine.commands["nvpmodel", "-q"] = "NV Power Mode: MODE_15W\n2\n"
    assert preconditions(machine.system).power_mode == "MODE_15W"


def test_no_command_is_run_on_other_machines(machine):
    machine.commands["nvpmodel", "-q"] = "NV Power Mode: MODE_15W\n2\n"
    assert preconditions(machine.system).power_mode is None


def test_a_machine_that_tells_nothing(machine):
    found = preconditions(machine.system).model_dump(mode="json")
    known = {name for name, value in found.items() if value not in (None, False)}
    assert known <= {"affinity"}


def test_this_machine_can_be_described():
    found = preconditions(HERE)
    assert Preconditions.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("cpus", "text"), [({0}, "0"), ({3, 0, 1, 2}, "0-3"), ({0, 1, 4, 6, 7}, "0-1,4,6-7")]
)
def test_lists_of_cpus(cpus, text):
    assert ranges(cpus) == text


def test_a_command_that_does_not_exist_says_nothing():
    assert HERE.run(("edge-fgir-no-such-command",)) is None
