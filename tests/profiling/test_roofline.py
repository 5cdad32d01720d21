"""Estimates from data sheets."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from edge_fgir import InputError
from edge_fgir.benchmarking.devices import device_names, read_device
from edge_fgir.models.setting import Setting
from edge_fgir.profiling.roofline import REACHED, Roofline
from edge_fgir.profiling.workload import Workload

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def load(vitfs):
    return Workload(vitfs)


def test_arithmetic_or_memory_whichever_is_slower(load):
    work = load.of(Setting(64, 1.0, "evit"))
    slow, starved = Roofline(load, 0.01, 1e6, "fp32"), Roofline(load, 1e6, 0.01, "fp32")
    assert slow.predict_frames([work], [64])[0].ms == pytest.approx(
        2 * load.macs(work) / 0.01 / 1e9 / REACHED
    )
    assert starved.predict_frames([work], [64])[0].ms == pytest.approx(
        4 * load.params / 0.01 / 1e6 / REACHED
    )


def test_int8_reads_a_quarter_of_the_bytes(load):
    work = [load.of(Setting(64, 1.0, "evit"))]
    found = [
        Roofline(load, 1e6, 0.01, p).predict_frames(work, [64])[0].ms for p in ("fp32", "int8")
    ]
    assert found[0] == pytest.approx(4 * found[1])


def test_an_estimate_doubts_itself(load):
    prediction = Roofline(load, 0.1, 10, "fp32").predict_frames([load.of(Setting(64, 1.0))], [64])[
        0
    ]
    assert prediction.high / prediction.low >= 9


@pytest.mark.parametrize("name", device_names())
def test_every_descriptor_gives_an_estimate_or_says_why_not(load, name):
    device = read_device(name)
    if device.power_modes[device.default_mode].bandwidth_gbs is None or not device.peaks():
        with pytest.raises(InputError, match="no peak or no bandwidth"):
            Roofline.of(device, load, "int8")
        return
    roofline = Roofline.of(device, load, "int8")
    works = [load.of(Setting(size, 1.0, "evit")) for size in (32, 64)]
    small, large = (one.ms for one in roofline.predict_frames(works, [32, 64]))
    assert 0 < small <= large


@pytest.mark.parametrize(
    ("name", "precision", "peak"),
    [
        ("raspberry-pi-5", "fp32", 0.1536),  # not the 0.307 of its fp16
        ("raspberry-pi-5", "fp16", 0.3072),
        ("raspberry-pi-4", "fp16", 0.0576),  # it computes that in fp32
        ("jetson-orin-nano-super", "fp32", 1.880),
        ("jetson-orin-nano-super", "int8", 30.08),
    ],
)
def test_a_precision_is_estimated_by_its_own_peak(load, name, precision, peak):
    assert Roofline.of(read_device(name), load, precision).peak == pytest.approx(peak, rel=1e-3)


def test_macs_are_those_that_are_counted(load, vitfs):
    from edge_fgir.models import summarize

    for setting in (Setting(64, 1.0, "evit"), Setting(48, 1.0, "evit")):
        model = vitfs.at(Setting(setting.image_size)).build(meta=True)
        gmacs = summarize(model, "", setting.image_size, vitfs.num_classes).gmacs
        assert load.macs(load.of(setting)) / 1e9 == pytest.approx(gmacs, rel=0.01)


def test_work_is_what_the_network_sees(load, vitfs):
    from edge_fgir.models import summarize

    setting = Setting(64, (0.7, 1.0, 0.5), "evit")
    described = vitfs.at(Setting(64, setting.keep_rate))
    blocks = summarize(described.build(meta=True), "", 64, vitfs.num_classes).blocks
    work = load.of(setting)
    assert list(work.attention) == [block.attention_tokens for block in blocks]
    assert list(work.mlp) == [block.mlp_tokens for block in blocks]
    assert len(work.reduced) == 2
