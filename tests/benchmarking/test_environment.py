"""What a number was measured on."""

from __future__ import annotations

import platform
from importlib.metadata import version

import pytest
from fake_machine import Machine

from edge_fgir import __version__
from edge_fgir.benchmarking import environment
from edge_fgir.results import Environment

pytestmark = pytest.mark.unit


def test_it_says_what_a_number_was_measured_on() -> None:
    found = environment()
    assert Environment.model_validate_json(found.model_dump_json()) == found
    assert found.machine == platform.machine()
    assert found.cpus >= 1
    assert found.processor
    assert found.versions["edge-fgir"] == __version__
    assert found.versions["numpy"] == version("numpy")
    assert found.system


def test_a_board_names_itself(machine: Machine) -> None:
    machine.write(
        {
            "proc/cpuinfo": "processor\t: 0\nBogoMIPS\t: 108.00\n"
            "Features\t: fp asimd crc32 asimddp\nModel\t\t: Raspberry Pi 5 Model B\n",
            "proc/device-tree/model": "Raspberry Pi 5 Model B",
            "proc/meminfo": "MemTotal:        8245678 kB\nMemFree: 1 kB\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand",
        }
    )
    found = environment(machine.system)
    assert found.processor == found.board == "Raspberry Pi 5 Model B"
    assert found.instructions == ("asimd", "asimddp")
    assert found.memory_mb == 8052
    assert found.governor == "ondemand"
    assert found.gpus == ()


def test_gpus_are_told_without_torch(machine: Machine) -> None:
    machine.write(
        {
            "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t NVIDIA L4\nIRQ: 24",
            "sys/class/drm/card0/device/uevent": "DRIVER=i915\nPCI_ID=8086:7D55",
            "sys/class/drm/card1/device/uevent": "DRIVER=virtio-pci\nPCI_ID=1AF4:1050",
        }
    )
    assert environment(machine.system).gpus == ("NVIDIA L4", "i915 8086:7D55")


def test_where_the_driver_shows_no_files_its_tool_is_asked(machine: Machine) -> None:
    query = ("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    machine.commands[query] = "NVIDIA A\nNVIDIA B\n"
    assert environment(machine.system).gpus == ("NVIDIA A", "NVIDIA B")


def test_a_machine_that_tells_nothing(machine: Machine) -> None:
    found = environment(machine.system)
    assert found.board is found.memory_mb is found.governor is None
    assert found.instructions == found.gpus == ()
    assert found.processor
