import pytest

from edge_fgir import InputError, _resources
from edge_fgir.benchmarking.devices import device_names, match_device, read_device

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", device_names())
def test_every_descriptor_is_valid_and_names_a_target_we_have(name: str) -> None:
    device = read_device(name)
    assert device.target in _resources.names("export", "*/target.yaml")
    assert device.match.board or device.match.processor


@pytest.mark.parametrize(
    ("board", "processor", "expected"),
    [
        ("Raspberry Pi 5 Model B Rev 1.0", "Cortex-A76", "raspberry-pi-5"),
        (
            "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
            "",
            "jetson-orin-nano-super",
        ),
        (None, "Intel(R) N100", "intel-n100"),
        (None, "Intel(R) N1000", "local"),
        (None, "AMD EPYC", "local"),
    ],
)
def test_machines_are_told_by_what_they_say(
    board: str | None, processor: str, expected: str
) -> None:
    assert match_device({"board": board, "processor": processor}) == expected


def test_an_unknown_device_is_named() -> None:
    with pytest.raises(InputError, match=r"unknown device 'nano'.*raspberry-pi-5"):
        read_device("nano")
