"""Milliseconds: measured once, or not there and said why."""

from __future__ import annotations

import json
import shutil
import sys

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("openvino")

from edge_fgir import exporting
from edge_fgir._errors import GateError
from edge_fgir.benchmarking import Protocol, WarmUp
from edge_fgir.benchmarking.protocol import percentiles
from edge_fgir.results import NetworkTime
from edge_fgir.sweeping import latency
from edge_fgir.sweeping.latency import NetworkTimer

pytestmark = pytest.mark.export


def test_a_network_is_measured_once(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr(
        latency, "_PROTOCOL", Protocol(runs=100, seconds=0.1, warm_up=WarmUp(least_s=0))
    )
    found = NetworkTimer(tmp_path).measure([tiny_run])[0]
    assert found.ms > 0
    assert found.ms_note == ""
    ((entry),) = json.loads((tmp_path / "latency.json").read_text()).values()
    assert entry["measured"]["architecture"] == "lrnet14"
    assert entry["p50_ms"] == found.ms
    monkeypatch.setattr(latency, "_inference", None)
    assert NetworkTimer(tmp_path).measure([tiny_run])[0] == found


def test_networks_take_turns_a_few_at_a_time(tiny_run, tmp_path, monkeypatch):
    runs = []
    for size in (32, 48, 64):
        run = tmp_path / str(size)
        shutil.copytree(tiny_run, run)
        described = json.loads((run / "model.json").read_text())
        described["preprocess"]["size"] = size
        (run / "model.json").write_text(json.dumps(described))
        runs.append(run)
    groups = []

    def measure(calls, protocol):
        groups.append(len(calls))
        assert [call() for call in calls.values()]
        return {key: percentiles([0.001 * (n + 1)], steady=True) for n, key in enumerate(calls)}

    monkeypatch.setattr(latency, "measure", measure)
    monkeypatch.setattr(latency, "_AT_ONCE", 2)
    found = NetworkTimer(tmp_path).measure([*runs, runs[0]])
    assert groups == [2, 1]
    assert [round(each.ms) for each in found] == [1, 2, 1, 1]
    assert len(json.loads((tmp_path / "latency.json").read_text())) == 3


def test_what_cannot_be_exported_has_no_milliseconds(tiny_run, tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise GateError("the graph has no fixed shape")

    monkeypatch.setattr(exporting, "to_onnx", refuse)
    found = NetworkTimer(tmp_path).measure([tiny_run])[0]
    assert found == NetworkTime(ms_note="the graph has no fixed shape")
    assert not (tmp_path / "latency.json").exists()


def test_a_missing_library_is_named(tiny_run, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "edge_fgir.exporting")
    monkeypatch.delitem(sys.modules, "edge_fgir.exporting.graph")
    monkeypatch.setitem(sys.modules, "onnx", None)
    found = NetworkTimer(tmp_path).measure([tiny_run])[0]
    assert found.ms is None
    assert found.ms_note.startswith("onnx is not installed; expected it for milliseconds; run:")


def test_adapters_and_instructions_tell_networks_apart(tiny_run, tmp_path, monkeypatch):
    """The shipped sweep of adapters: ila, ila+ and ila++ are three networks."""
    runs = []
    for variant in ("ila", "ila+", "ila++"):
        run = tmp_path / variant
        shutil.copytree(tiny_run, run)
        described = json.loads((run / "model.json").read_text())
        network = {"name": "vit_tiny_patch16_224", "adapters": {"variant": variant}}
        (run / "model.json").write_text(json.dumps({**described, "network": network}))
        runs.append(run)
    asked = []

    def measure(calls, protocol):
        asked.extend(calls)
        return {key: percentiles([0.001 * len(asked)], steady=True) for key in calls}

    monkeypatch.setattr(latency, "measure", measure)
    monkeypatch.setattr(latency, "_inference", lambda run: lambda: None)
    NetworkTimer(tmp_path).measure(runs)
    assert len(set(asked)) == 3
    elsewhere = latency.environment().model_copy(update={"instructions": ("avx2",)})  # type: ignore[attr-defined]
    monkeypatch.setattr(latency, "environment", lambda: elsewhere)
    NetworkTimer(tmp_path).measure(runs)
    assert len(set(asked)) == 6
