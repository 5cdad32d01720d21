"""Every device is asked in a process of its own: what crashes, hangs or lies ends nothing."""

from __future__ import annotations

import logging
import platform
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from bundles import make_bundle, needs_runtime, two_runtimes

from edge_fgir.runtime import Bundle, Classifier, device_sweep, sweep_devices
from edge_fgir.runtime.evidence import DeviceEvidence, Evidence, Setting, best_device
from edge_fgir.runtime.runtimes import find_runtime

pytestmark = pytest.mark.unit

# A probe whose runtime has devices of many kinds. They know the golden pictures by heart.
FAKE = """
import dataclasses, os, sys, time
sys.argv[1:], sys.path[:] = sys.argv[1:2], sys.argv[2:]
import numpy as np
from edge_fgir.runtime import device_probe
from edge_fgir.runtime.runtimes import find_runtime, register_runtime
from edge_fgir.runtime.verification import _golden_pixels

class Engine:
    def __init__(self, bundle, options):
        self.device = options.device
        self.description = f"pretended {self.device}"
        self.known = {
            _golden_pixels(bundle, one.file).tobytes(): np.array([one.probabilities], np.float32)
            for one in bundle.golden.images
        }
        if self.device == "gpu.1":
            os.abort()
    def infer(self, batch):
        answer = self.known.get(batch.tobytes(), np.full((1, 3), 1 / 3, np.float32))
        time.sleep(0.002 if self.device == "cpu" else 0)
        if self.device == "gpu.2":
            time.sleep(60)
        return answer * np.nan if self.device == "npu" else answer
    def close(self):
        pass

register_runtime(dataclasses.replace(
    find_runtime("openvino"), library="numpy", open=Engine, find_devices=lambda: FOUND,
))
device_probe.main()
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edge-fgir" / "devices"


@pytest.fixture
def bundle(tmp_path) -> Path:
    return make_bundle(tmp_path / "birds.fgir")


@pytest.fixture
def probe(tmp_path):
    """Return a function that writes a probe which finds some devices, and returns its command."""

    def command(*devices: str) -> tuple[str, ...]:
        path = tmp_path / "probe.py"
        path.write_text(FAKE.replace("lambda: FOUND", f"lambda: {devices!r}"))
        return sys.executable, str(path)

    return command


def test_each_device_is_reported_and_the_fastest_right_one_is_auto(bundle, probe, cache):
    devices = probe("cpu", "gpu.0", "gpu.1", "npu", "toaster")
    found = {one.device: one for one in sweep_devices(bundle, command=devices)}
    assert list(found) == ["cpu", "gpu.0", "gpu.1", "npu"]  # no runtime of ours has a toaster
    assert [one.ok for one in found.values()] == [True, True, False, False]
    assert found["cpu"].engine == "pretended cpu"
    assert found["cpu"].p50_ms > 2 > found["gpu.0"].p50_ms
    assert found["gpu.1"].detail.startswith("crashed (SIGABRT): ")
    assert "max |delta p| nan" in found["npu"].detail
    assert found["npu"].p50_ms is None
    assert len(list(cache.iterdir())) == 1
    assert best_device(Bundle(bundle), find_runtime("openvino")) == "gpu.0"


def test_a_device_that_hangs_is_ended(bundle, probe, monkeypatch):
    monkeypatch.setattr(device_sweep, "_devices", lambda *_: ("gpu.2",))
    (found,) = sweep_devices(bundle, seconds=0.5, command=probe("gpu.2"))
    assert (found.ok, found.detail) == (False, "no answer within 0.5 s")


def test_a_library_that_crashes_while_it_lists_its_devices(bundle, tmp_path, caplog):
    (tmp_path / "probe.py").write_text("import os; os.abort()")
    found = list(sweep_devices(bundle, command=(sys.executable, str(tmp_path / "probe.py"))))
    assert [one.device for one in found] == ["cpu", "gpu", "npu"]
    assert not any(one.ok for one in found)
    assert "openvino does not tell its devices: crashed (SIGABRT)" in caplog.text


def kept(bundle: Path, *devices: DeviceEvidence) -> tuple[Bundle, Path]:
    opened = Bundle(bundle)
    setting = Setting.here(opened, find_runtime("openvino"))
    return opened, Evidence(setting=setting, devices=devices).keep()


CPU = DeviceEvidence(device="cpu", ok=True, detail="", p50_ms=3.0)
GPU = DeviceEvidence(device="gpu.0", ok=True, detail="", p50_ms=2.0)


@pytest.mark.parametrize(
    ("devices", "best"),
    [
        ((CPU, GPU), "gpu.0"),
        ((CPU, GPU.model_copy(update={"p50_ms": 4.0})), "cpu"),
        ((CPU, GPU.model_copy(update={"ok": False})), "cpu"),
        ((GPU.model_copy(update={"device": "../../etc"}),), "cpu"),
        ((), "cpu"),
    ],
)
def test_the_best_is_right_and_fast(bundle, devices, best):
    opened, _ = kept(bundle, *devices)
    assert best_device(opened, find_runtime("openvino")) == best


@pytest.mark.parametrize(
    "change", ["bundle", "library", "kernel", "damage", "size", "kind", "folder", "other"]
)
def test_evidence_of_something_else_does_not_count(bundle, tmp_path, monkeypatch, cache, change):
    opened, path = kept(bundle, CPU, GPU)
    runtime = find_runtime("openvino")
    assert best_device(opened, runtime) == "gpu.0"
    if change == "bundle":
        opened = Bundle(make_bundle(tmp_path / "other.fgir", labels=("a", "b", "c")))
    elif change == "library":
        runtime = replace(runtime, library="numpy")
    elif change == "kernel":
        monkeypatch.setattr(platform, "release", lambda: "9.9")
    elif change == "damage":
        path.write_bytes(path.read_bytes()[:-40])
    elif change == "size":
        path.write_bytes(path.read_bytes() + b" " * (1 << 20))
    elif change == "kind":
        path.unlink()
        path.mkdir()
    elif change == "folder":
        cache.parent.chmod(0o777)
    elif change == "other":
        text = path.read_text().replace(opened.manifest.seal, "0" * 64)
        path.write_text(text)
    assert best_device(opened, runtime) == "cpu"


def test_without_a_home_nothing_is_kept_and_nothing_fails(bundle, probe, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    (found,) = sweep_devices(bundle, command=probe("cpu"))
    assert found.ok
    assert "what the devices did is not kept" in caplog.text
    assert best_device(Bundle(bundle), find_runtime("openvino")) == "cpu"


@pytest.mark.export
def test_a_device_that_is_gone_is_replaced_by_the_first(bundle, caplog):
    pytest.importorskip("openvino")
    kept(bundle, CPU, GPU.model_copy(update={"device": "gpu.7"}))
    with caplog.at_level(logging.WARNING), Classifier.open(bundle) as model:
        assert model.info["engine"].endswith("CPU")
    assert "gpu.7, which was the fastest, cannot be opened now: OpenVINO sees no GPU.7" in (
        caplog.text
    )


@pytest.mark.export
@pytest.mark.parametrize("target", ["openvino", "arm"])
def test_the_command(run_cli, tmp_path, target):
    needs_runtime(target)
    path = make_bundle(tmp_path / f"{target}.fgir", target=target)
    done = run_cli("verify", path, "--all-devices", "--json")
    assert done.code == 0
    assert done.json["ok"]
    assert [check["name"] for check in done.json["checks"]] == ["files", "contents"]
    cpu = next(one for one in done.json["devices"] if one["device"] == "cpu")
    assert cpu["ok"]
    assert cpu["p50_ms"] > 0


@pytest.mark.export
def test_each_runtime_of_a_bundle_is_asked(run_cli, tmp_path):
    pytest.importorskip("ai_edge_litert")
    pytest.importorskip("onnxruntime")
    path = two_runtimes(tmp_path / "both.fgir")
    devices = run_cli("verify", path, "--all-devices", "--json").json["devices"]
    assert {(one["runtime"], one["device"], one["ok"]) for one in devices} >= {
        ("litert", "cpu", True),
        ("onnxruntime", "cpu", True),
    }
    assert [one["engine"].split()[0] for one in devices[:2]] == ["ai-edge-litert", "onnxruntime"]
    told = run_cli("verify", path, "--all-devices").out
    assert "device cpu in litert: " in told
    assert "device cpu in onnxruntime: " in told


def test_one_device_or_all(run_cli, bundle):
    done = run_cli("verify", bundle, "--device", "cpu", "--all-devices")
    assert (done.code, done.err) == (
        2,
        "error: --device cpu with --all-devices; expected one of the two\n",
    )
