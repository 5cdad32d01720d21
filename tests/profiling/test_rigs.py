"""Timing on a device: other machines, lost ones."""

from __future__ import annotations

import json
import subprocess
from types import SimpleNamespace

import pytest

pytest.importorskip("openvino")

from edge_fgir import EdgeFgirError
from edge_fgir.benchmarking import Protocol, WarmUp, bench
from edge_fgir.benchmarking.protocol import StoppingRule
from edge_fgir.profiling import rigs
from edge_fgir.profiling.rigs import LocalRig, RemoteRig, fingerprint
from edge_fgir.runtime import Bundle

pytestmark = pytest.mark.export


@pytest.fixture
def bundle(tiny_bundle):
    return Bundle(tiny_bundle)


def test_both_scopes_of_a_bundle_are_timed(bundle, monkeypatch):
    short = Protocol(rounds=2, runs=4, warm_up=WarmUp(most_s=0.02), stop=StoppingRule(most=4))
    monkeypatch.setattr(rigs, "PROBES", short)
    first, second = LocalRig().time([bundle, bundle])
    for found in (first, second):
        assert 0 < found.network_ms < found.frame_ms
        assert found.tail >= 1


def test_models_are_closed_whatever_happens(bundle, monkeypatch):
    closed = []
    monkeypatch.setattr(rigs.Classifier, "close", lambda self: closed.append(self))
    monkeypatch.setattr(rigs, "interleave", lambda *calls, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        LocalRig().time([bundle, bundle])
    assert len(closed) == 2


def test_a_local_bench_has_a_process_of_its_own(bundle, monkeypatch):
    said = SimpleNamespace(returncode=0, stdout=json.dumps({"p50_ms": 1.5}), stderr="")
    commands = []
    monkeypatch.setattr(
        subprocess, "run", lambda command, **options: commands.append(command) or said
    )
    assert LocalRig().bench(bundle, 2.0) == {"p50_ms": 1.5}
    assert commands[0][1:5] == ["-m", "edge_fgir", "bench", str(bundle.path)]
    said.returncode, said.stderr = 2, "warming up\nerror: no such engine\n"
    with pytest.raises(EdgeFgirError, match="failed: error: no such engine"):
        LocalRig().bench(bundle, 2.0)


def answer(processor="A76", network=(5.0, 5.0)):
    scope = {"p50_ms": network[0], "p99_ms": 2 * network[0]}
    return {
        "scopes": {"network": scope, "frame_to_decision": {"p50_ms": 6.0, "p99_ms": 9.0}},
        "repeats_p50_ms": {"network": list(network)},
        "environment": {
            "machine": "aarch64",
            "processor": processor,
            "instructions": ["asimd"],
            "board": None,
            "cpus": 4,
            "versions": {"onnxruntime": "1.24.4", "numpy": "2.0"},
        },
    }


def test_a_machine_behind_ssh_is_asked_for_a_glance(bundle, monkeypatch):
    asked = []

    def there(host, bundle, arguments, **options):
        asked.append((host, arguments))
        return answer()

    monkeypatch.setattr(rigs, "bench_there", there)
    rig = RemoteRig("pi@board", lambda line: None)
    (found,) = rig.time([bundle])
    assert asked == [("pi@board", ["--mode=quick"])]
    assert (found.network_ms, found.frame_ms, found.tail) == (5.0, 6.0, 1.5)
    assert rig.identity()["processor"] == "A76"
    assert rig.versions() == {"onnxruntime": "1.24.4"}


def test_a_disturbed_glance_is_repeated_and_flagged(bundle, monkeypatch):
    answers = iter([answer(network=(5.0, 6.0)), answer(network=(5.0, 5.1))])
    monkeypatch.setattr(rigs, "bench_there", lambda *a, **k: next(answers))
    assert not RemoteRig("pi@board", print).time([bundle])[0].disturbed
    monkeypatch.setattr(rigs, "bench_there", lambda *a, **k: answer(network=(5.0, 6.0)))
    assert RemoteRig("pi@board", print).time([bundle])[0].disturbed


def test_another_machine_under_the_same_name_is_noticed(bundle, monkeypatch):
    answers = iter([answer(), answer("A72")])
    monkeypatch.setattr(rigs, "bench_there", lambda *a, **k: next(answers))
    rig = RemoteRig("pi@board", print)
    rig.time([bundle])
    with pytest.raises(EdgeFgirError, match=r"another machine than at first: .*A72"):
        rig.time([bundle])


def test_a_fingerprint_tells_devices_apart():
    one, other = ({"processor": name, "cpus": 4} for name in ("A76", "A72"))
    assert fingerprint(one) == fingerprint(dict(reversed(one.items())))
    assert fingerprint(one) != fingerprint(other)


def test_a_glance_is_quick_and_never_certified(bundle, quick_bench):
    from edge_fgir.runtime import Classifier

    with Classifier.open(bundle.path) as model:
        body = bench(model, mode="quick", seconds=0.1)
    assert not body["certified"]
    assert body["uncertified_because"][0] == "a quick measurement has few runs"
    assert body["mode"] == "quick"
