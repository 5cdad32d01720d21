"""Milliseconds: measured once, or not there and said why."""

from __future__ import annotations

import json
import sys

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("openvino")

from edge_fgir._errors import GateError
from edge_fgir.benchmarking import protocol
from edge_fgir.exporting import graph
from edge_fgir.sweeping import latency
from edge_fgir.sweeping.latency import Stopwatch

pytestmark = pytest.mark.export


def test_a_network_is_measured_once(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr(protocol, "_MIN_WARMUP_S", 0.0)
    monkeypatch.setattr(latency, "_SECONDS", 0.1)
    found = Stopwatch(tmp_path).measure(tiny_run)
    assert found["ms"] > 0
    assert found["ms_note"] == ""
    ((entry),) = json.loads((tmp_path / "latency.json").read_text()).values()
    assert entry["network"]["architecture"] == "lrnet14"
    assert entry["p50_ms"] == found["ms"]
    monkeypatch.setattr(latency, "_measured", None)
    assert Stopwatch(tmp_path).measure(tiny_run) == found


def test_what_cannot_be_exported_has_no_milliseconds(tiny_run, tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise GateError("the graph has no fixed shape")

    monkeypatch.setattr(graph, "to_onnx", refuse)
    found = Stopwatch(tmp_path).measure(tiny_run)
    assert found == {"ms": None, "ms_note": "the graph has no fixed shape"}
    assert not (tmp_path / "latency.json").exists()


def test_a_missing_library_is_named(tiny_run, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "edge_fgir.exporting.graph")
    monkeypatch.setitem(sys.modules, "onnx", None)
    found = Stopwatch(tmp_path).measure(tiny_run)
    assert found["ms"] is None
    assert found["ms_note"].startswith("onnx is not installed; expected it for milliseconds; run:")
