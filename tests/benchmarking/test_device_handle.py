"""Measuring on this machine through a worker, and what a worker may answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

pytest.importorskip("openvino")

from edge_fgir import EdgeFgirError, InputError
from edge_fgir.benchmarking import (
    Identity,
    LocalDevice,
    Protocol,
    StoppingRule,
    WarmUp,
    device_handle,
    environment,
    worker,
)
from edge_fgir.benchmarking.messages import (
    BenchBundle,
    Identified,
    TimeBundles,
    Timings,
    read_answer,
    read_request,
)
from edge_fgir.runtime import Bundle

pytestmark = pytest.mark.export

SHORT = Protocol(
    rounds=2, runs=4, seconds=0, warm_up=WarmUp(least_s=0, most_s=0.02), stop=StoppingRule(most=4)
)
QUICK = Protocol(runs=20, seconds=0, warm_up=WarmUp(least_s=0, most_s=0.02))


TIMING = {"network_ms": 1, "frame_ms": 1, "tail": 1, "disturbed": False}


@pytest.fixture
def bundle(tiny_bundle) -> Bundle:
    return Bundle(tiny_bundle)


def identity(**changes: object) -> Identity:
    board = {"machine": "aarch64", "processor": "A76", "instructions": ("asimd",), "cpus": 4}
    return Identity.model_validate({**board, "board": None, **changes})


def test_both_scopes_of_bundles_are_timed_in_one_worker(bundle):
    with LocalDevice() as device:
        timings = device.time([bundle, bundle], SHORT)
    assert len(timings) == 2
    for timing in timings:
        assert 0 < timing.network_ms < timing.frame_ms
        assert timing.tail >= 1


def test_a_device_is_known_once_it_is_open():
    with LocalDevice() as device:
        assert device.identity == Identity.of(environment())
        assert device.versions["openvino"]
        assert set(device.versions) <= {"openvino", "onnxruntime", "tensorrt", "ai_edge_litert"}


def test_a_bench_has_a_process_of_its_own(bundle):
    with LocalDevice() as device:
        found = device.bench(bundle, seconds=0.05, protocol=QUICK)
    assert found.n >= 20
    assert found.bundle == str(bundle.path)
    assert found.peak_memory_mb
    assert Identity.of(found.environment) == device.identity


def test_files_beside_the_photographs_are_not_imported(bundle, tmp_path, monkeypatch):
    for name in ("random", "numpy", "edge_fgir"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the working folder')")
    monkeypatch.chdir(tmp_path)
    with LocalDevice() as device:
        assert device.time([bundle], SHORT)


def test_an_error_of_the_worker_is_ours(bundle, tmp_path):
    with (
        LocalDevice("no such device") as device,
        pytest.raises(InputError, match=r"^local: .*auto"),
    ):
        device.time([bundle], SHORT)


def test_a_worker_that_dies_is_said(bundle, monkeypatch):
    monkeypatch.setattr(device_handle, "START", "import os; os.abort()")
    with LocalDevice() as device, pytest.raises(EdgeFgirError, match="ended with code -6"):
        device.time([bundle], SHORT)


def test_another_machine_under_the_same_name_is_noticed(bundle):
    with LocalDevice() as device:
        device.identity = identity()
        with pytest.raises(EdgeFgirError, match="local is another machine than at first: "):
            device.time([bundle], SHORT)


def test_too_few_timings_are_noticed(bundle, monkeypatch):
    text = Timings(environment=environment(), timings=()).model_dump_json().encode()
    done = subprocess.CompletedProcess((), 0, stdout=text)
    monkeypatch.setattr(subprocess, "run", lambda *command, **options: done)
    with LocalDevice() as device, pytest.raises(EdgeFgirError, match="0 timings of 1"):
        device.time([bundle], SHORT)


def test_models_are_closed_whatever_happens(bundle, monkeypatch):
    closed = []
    monkeypatch.setattr(worker.Classifier, "close", lambda self: closed.append(self))  # type: ignore[attr-defined]
    monkeypatch.setattr(worker, "interleave", lambda *calls, **options: 1 / 0)
    asked = TimeBundles(device="auto", protocol=SHORT).on([str(bundle.path)] * 2)
    with pytest.raises(ZeroDivisionError):
        worker.answer(asked.model_dump_json().encode())
    assert len(closed) == 2


def test_what_a_library_prints_does_not_spoil_the_answer():
    code = """
import os
from edge_fgir.benchmarking import worker
known = worker.environment
worker.environment = lambda: (print("hello"), os.write(1, b"native code too"), known())[2]
worker.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(device_handle.PACKAGE_PARENT)},
        input=b'{"kind": "identify"}',
        capture_output=True,
        check=True,
    )
    assert read_answer(done.stdout, Identified, "local").environment.machine
    assert b"native code too" in done.stderr


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"timings": [TIMING | {"network_ms": -1}]}, "network_ms"),
        ({"timings": [TIMING | {"frame_ms": 1e300}]}, "frame_ms"),
        ({"timings": [TIMING | {"tail": 0}]}, "tail"),
        ({"command": "rm"}, "command"),
        ({"kind": "shell"}, "kind"),
    ],
)
def test_an_answer_that_breaks_the_schema_is_refused(change: dict[str, Any], place: str):
    body = Timings(environment=environment(), timings=()).model_dump(mode="json")
    with pytest.raises(EdgeFgirError, match=f"^pi: its answer breaks the schema: .*{place}"):
        read_answer(json.dumps(body | change).encode(), Timings, "pi")


@pytest.mark.parametrize("text", [b"", b"{", b"nan", b"[" * 100_000])
def test_what_is_no_json_is_refused(text):
    with pytest.raises(EdgeFgirError, match=r"^pi: its answer "):
        read_answer(text, Timings, "pi")


def test_an_answer_of_another_kind_is_refused():
    text = Identified(environment=environment()).model_dump_json().encode()
    with pytest.raises(EdgeFgirError, match=r"^pi: its answer is of kind identified"):
        read_answer(text, Timings, "pi")


def test_control_characters_of_an_answer_are_shown():
    body = Identified(environment=environment()).model_dump(mode="json")
    body["environment"]["processor"] = "A76\x1b[2J\r"
    found = read_answer(json.dumps(body).encode(), Identified, "pi")
    assert found.environment.processor == "A76\\x1b[2J\\r"


def test_a_request_has_bounds():
    text = json.dumps({"kind": "bench", "device": "auto", "seconds": 1e9, "bundles": ["a"]})
    with pytest.raises(InputError, match="seconds"):
        read_request(text.encode())
    asked = BenchBundle(device="auto", fps=30).on(["a"])
    assert read_request(asked.model_dump_json().encode()) == asked


def test_a_fingerprint_tells_devices_apart():
    assert identity().fingerprint == identity().fingerprint
    assert identity().fingerprint != identity(processor="A72").fingerprint


def test_devices_of_one_name_are_told_apart_by_what_differs():
    one, other = identity(), identity(instructions=("asimd", "sve"))
    assert one.told_from(other) == "A76 with instructions ['asimd']"
    assert one.told_from(identity(processor="A72")) == "A76"
