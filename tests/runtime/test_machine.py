"""The machine as its files show it: processors beside the processor, and cameras."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_fgir.runtime.machine import Camera, System, cameras, gpus, npus

pytestmark = pytest.mark.unit


def machine(root: Path, **files: str) -> System:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return System(root, {}.get)


def test_npus_and_gpus_by_driver_and_number(tmp_path):
    system = machine(
        tmp_path,
        **{
            "sys/class/accel/accel0/device/uevent": "DRIVER=intel_vpu\nPCI_ID=8086:7D1D",
            "sys/class/drm/card0/device/uevent": "DRIVER=xe\nPCI_ID=8086:7D55",
            "sys/class/drm/card0-HDMI-A-1/device/uevent": "DRIVER=xe\nPCI_ID=8086:7D55",
            "sys/class/drm/card1/device/uevent": "DRIVER=xen-fb",
        },
    )
    assert npus(system) == ("intel_vpu 8086:7D1D",)
    assert gpus(system) == ("xe 8086:7D55",)


def test_a_camera_is_one_however_many_nodes_it_has(tmp_path):
    system = machine(
        tmp_path,
        **{
            "sys/class/video4linux/video10/name": "Board camera",
            "sys/class/video4linux/video2/name": "USB camera",
            "sys/class/video4linux/video2/index": "0",
            "sys/class/video4linux/video3/name": "USB camera",
            "sys/class/video4linux/video3/index": "1",
            "dev/video2": "",
        },
    )
    assert cameras(system) == (
        Camera("/dev/video2", "USB camera", True),
        Camera("/dev/video10", "Board camera", False),
    )


def test_a_machine_without_any(tmp_path):
    assert (npus(System(tmp_path)), cameras(System(tmp_path))) == ((), ())


def test_doctor_tells_them(run_cli, monkeypatch):
    import edge_fgir.runtime.machine as here

    found = (Camera("/dev/video0", "USB camera", False),)
    monkeypatch.setattr(here, "cameras", lambda: found)
    monkeypatch.setattr(here, "npus", lambda: ("intel_vpu 8086:7D1D",))
    monkeypatch.setattr(here, "gpus", lambda: ())
    machine = run_cli("doctor", "--json").json["machine"]
    assert machine["cameras"] == [found[0]._asdict()]
    lines = run_cli("doctor").out.splitlines()
    assert "npus:         intel_vpu 8086:7D1D" in lines
    assert "gpus:         none" in lines
    assert lines[-1] == (
        "cameras:      /dev/video0 (USB camera, which this user may not open: join the group video)"
    )
    assert "machine" not in run_cli("doctor", "--target", "openvino", "--json").json
