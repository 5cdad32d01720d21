"""Descriptors: each figure sourced and adding up, each machine found by what it says of itself."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from edge_fgir import InputError, _resources, benchmarking
from edge_fgir.benchmarking import devices
from edge_fgir.benchmarking.devices import (
    Descriptor,
    Figure,
    device_names,
    match_device,
    read_device,
    worth,
)
from edge_fgir.runtime.machine import System

pytestmark = pytest.mark.unit

MACHINES: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "machines.yaml").read_text(encoding="utf-8")
)
every_device = pytest.mark.parametrize("name", device_names())


def machine(root: Path, files: dict[str, str | list[str]]) -> System:
    """Lay out a machine's files below ``root``; a list becomes a device tree's."""
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else "".join(f"{entry}\0" for entry in content)
        (root / path).write_text(text)
    return System(root=root)


@every_device
def test_a_descriptor_names_a_target_we_have_and_can_be_matched(name: str) -> None:
    device = read_device(name)
    assert device.target in _resources.names("export", "*/target.yaml")
    assert device.match.compatible or device.match.processor
    assert (device.workspace_mb is not None) == (device.target == "jetson")


@every_device
def test_every_figure_is_sourced_and_says_why_it_is_in_doubt(name: str) -> None:
    device = read_device(name)
    figures = list(device.figures())
    assert len(figures) >= 7
    for what, unit, figure in figures:
        source = device.sources[figure.source]
        assert unit, what
        assert len(source) > 20, what
        if figure.confidence == "uncertain":
            doubt = f"{figure.note} {source}"
            assert figure.note or "recalled" in doubt or "not read" in doubt, what


@every_device
def test_narrower_numbers_are_never_slower(name: str) -> None:
    device = read_device(name)
    compared = 0
    for mode in device.power_modes:
        for rates in device.peaks(mode).values():
            ordered = [
                rates[precision].value
                for precision in ("fp32", "fp16", "int8")
                if precision in rates
            ]
            assert ordered == sorted(ordered)
            compared += len(ordered) > 1
    assert compared


@every_device
def test_every_bandwidth_shows_its_transfers(name: str) -> None:
    modes = read_device(name).power_modes.values()
    widths = [mode.bandwidth_gbs for mode in modes if mode.bandwidth_gbs]
    assert widths
    assert all(" bytes / 1000" in width.arithmetic for width in widths)


@pytest.mark.parametrize(
    ("name", "headline"),
    [(name, headline) for name in device_names() for headline in read_device(name).headlines],
    ids=lambda value: value if isinstance(value, str) else f"{value.mode}-{value.value:g}",
)
def test_peaks_agree_with_the_vendors_headline_less_its_sparsity(name: str, headline: Any) -> None:
    peak = read_device(name).peaks(headline.mode)[headline.unit][headline.precision]
    assert peak.value == pytest.approx(headline.dense, rel=0.05)


@pytest.mark.parametrize(
    ("name", "mode", "unit", "expected"),
    [
        ("jetson-orin-nano-super", "25W", "gpu", {"fp32": 1.880, "fp16": 15.04, "int8": 30.08}),
        ("jetson-orin-nano-super", "15W", "gpu", {"fp32": 1.253, "fp16": 10.03, "int8": 20.05}),
        ("jetson-agx-orin-64gb", "MODE_15W", "gpu", {"fp32": 0.627, "fp16": 5.01, "int8": 10.03}),
        ("jetson-xavier-nx", "MODE_20W_6CORE", "gpu", {"fp32": 0.852, "fp16": 6.82, "int8": 13.63}),
        ("raspberry-pi-5", None, "cpu", {"fp32": 0.1536, "fp16": 0.3072, "int8": 0.6144}),
        ("raspberry-pi-4", None, "cpu", {"fp32": 0.0576, "int8": 0.1152}),
        ("intel-n100", None, "gpu", {"fp32": 0.288, "fp16": 0.576, "int8": 1.152}),
    ],
)
def test_peaks_worked_out_by_hand(
    name: str, mode: str | None, unit: str, expected: dict[str, float]
) -> None:
    peaks = read_device(name).peaks(mode)[unit]
    assert {precision: peak.value for precision, peak in peaks.items()} == pytest.approx(
        expected, rel=1e-3
    )


def test_a_peak_is_as_sure_as_its_least_sure_figure() -> None:
    peaks = read_device("jetson-orin-nano-super").peaks("25W")
    assert peaks["gpu"]["int8"].confidence == "derived"
    assert peaks["gpu"]["int8"].arithmetic == "4096 x 8 x 918 MHz / 1000000"
    assert peaks["gpu"]["int8"].source == "brief, super"
    assert peaks["cpu"]["int8"].confidence == "uncertain"


def test_a_mode_without_known_clocks_has_no_peaks() -> None:
    thor = read_device("jetson-agx-thor")
    assert thor.peaks() == {}
    assert thor.peaks("MAXN")["gpu"].keys() == {"fp32", "fp16", "int8"}


def test_an_unknown_power_mode_is_named() -> None:
    with pytest.raises(
        InputError, match=r"unknown power mode '30W' of .*-super; expected one of 15W, 25W"
    ):
        read_device("jetson-orin-nano-super").peaks("30W")


@pytest.mark.parametrize(
    ("arithmetic", "expected"),
    [
        ("12", 12),
        ("4 cores x 2 pipes x 4 lanes", 32),
        ("170 TOPS / 2 for sparsity / 16 SM / 1.3 GHz x 1000", 4086.54),
        ("2133 MHz x 2 transfers x 16 bytes / 1000", 68.256),
    ],
)
def test_arithmetic_is_read_from_left_to_right(arithmetic: str, expected: float) -> None:
    assert worth(arithmetic) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("figure", "complaint"),
    [
        ({"value": 2, "confidence": "derived"}, "a derived figure shows its arithmetic"),
        ({"value": 9, "confidence": "derived", "arithmetic": "2 x 4"}, "2 x 4 is 8, not 9"),
        ({"value": 8, "confidence": "vendor", "arithmetic": "two x 4"}, "could not convert"),
        ({"value": 0, "confidence": "vendor"}, "greater than 0"),
        ({"value": 1, "confidence": "sure"}, "confidence"),
    ],
)
def test_a_figure_that_does_not_add_up_is_refused(figure: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Figure.model_validate({"source": "somewhere", **figure})


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"default_mode": "30W"}, "power modes 30W are named but not there"),
        ({"units": {}}, "units cpu are named but not there"),
        ({"sources": {}}, "sources .*n1.* are named but not there"),
        ({"extra_sources": {"idle": "a book nobody opened"}}, "sources idle are never named"),
    ],
)
def test_a_descriptor_names_only_what_it_holds(change: dict[str, Any], complaint: str) -> None:
    content = copy.deepcopy(read_device("raspberry-pi-5").model_dump())
    content["sources"].update(change.pop("extra_sources", {}))
    with pytest.raises(ValidationError, match=complaint):
        Descriptor.model_validate(content | change)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(
    "sample", MACHINES, ids=lambda sample: f"{sample['device']}: {sample['origin']}"
)
def test_a_machine_is_known_by_what_it_says_and_by_nothing_else(
    sample: dict[str, Any], backwards: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where two descriptors fitted, the order in which they are looked at would decide.
    monkeypatch.setattr(devices, "device_names", lambda: sorted(device_names(), reverse=backwards))
    assert match_device(machine(tmp_path, sample["files"])) == sample["device"]


def test_every_descriptor_has_a_sample_that_says_where_it_is_from() -> None:
    assert {sample["device"] for sample in MACHINES} == {*device_names(), "local"}
    assert all(
        sample["origin"].startswith(("recorded: ", "reconstructed: ")) for sample in MACHINES
    )


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(
    ("model", "memory_gb", "expected"),
    [
        ("Acme Orin Nano carrier", 3.4, "jetson-orin-nano-4gb"),
        ("Acme Orin Nano carrier", 7.4, "jetson-orin-nano-8gb"),
        ("Acme Orin Nano carrier Super", 7.4, "jetson-orin-nano-super"),
        ("Acme Orin NX box", 7.4, "jetson-orin-nx-8gb"),
        ("Acme Orin NX box", 15.3, "jetson-orin-nx-16gb"),
        ("Acme AGX Orin box", 29.9, "jetson-agx-orin-32gb"),
        ("Acme AGX Orin box", 61.4, "jetson-agx-orin-64gb"),
        ("Acme AGX Thor box", 122.9, "jetson-agx-thor"),
        ("Acme AGX Thor box", 61.4, "local"),
        ("Acme Orin NX box", None, "local"),
    ],
)
def test_memory_tells_variants_apart_where_the_module_is_not_named(
    model: str,
    memory_gb: float | None,
    expected: str,
    backwards: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices, "device_names", lambda: sorted(device_names(), reverse=backwards))
    files: dict[str, str | list[str]] = {
        "proc/device-tree/model": [model],
        "proc/device-tree/compatible": ["acme,box", "nvidia,tegra234"],
    }
    if memory_gb is not None:
        files["proc/meminfo"] = f"MemTotal: {int(memory_gb * 1024 * 1024)} kB\n"
    assert match_device(machine(tmp_path, files)) == expected


def test_an_unknown_device_is_named() -> None:
    with pytest.raises(InputError, match=r"unknown device 'nano'.*raspberry-pi-5"):
        read_device("nano")


def test_a_descriptor_that_breaks_a_rule_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = read_device("raspberry-pi-5").model_dump(mode="json", exclude={"id"})
    (tmp_path / "toaster.yaml").write_text(yaml.safe_dump(content | {"target": 7}))
    monkeypatch.setattr(_resources, "folder", lambda kind: tmp_path)
    with pytest.raises(InputError, match=r"toaster\.yaml: target: .*; expected a device$"):
        read_device("toaster")


@every_device
def test_show_prints_every_figure_beside_its_source(name: str, run_cli: Any) -> None:
    device = read_device(name)
    done = run_cli("devices", "show", name)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    for what, unit, figure in device.figures():
        row = next(line for line in lines if line.startswith(f"  {what} "))
        assert f" {unit} " in row
        assert f"{figure.confidence} " in row
        assert f"[{figure.source}]" in row
        assert figure.arithmetic in row
    for key, text in device.sources.items():
        assert f"  [{key}] {text}" in lines


def test_show_prints_peaks_as_a_table_and_as_json(run_cli: Any) -> None:
    out = run_cli("devices", "show", "raspberry-pi-5").out
    row = "cpu int8  0.614  TOP/s  uncertain  [n1, comparison]  64 x 4 x 2400 MHz / 1000000"
    assert f"  stock: {row}\n" in out
    peaks = run_cli("devices", "show", "raspberry-pi-5", "--json").json["peaks_tops"]
    assert peaks["stock"]["cpu"]["fp32"]["value"] == pytest.approx(0.1536)
    assert "  not known: 120W, 90W, 70W\n" in run_cli("devices", "show", "jetson-agx-thor").out


def test_list_is_a_line_a_device(run_cli: Any) -> None:
    lines = run_cli("devices", "list").out.splitlines()
    assert [line.split()[0] for line in lines] == device_names()
    assert run_cli("devices", "list", "--json").json == device_names()


def test_match_names_the_descriptor(run_cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarking, "match_device", lambda: "rk3588")
    assert run_cli("devices", "match").out == "rk3588\n"
    assert run_cli("devices", "match", "--json").json == {"device": "rk3588"}
