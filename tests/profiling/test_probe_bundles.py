"""Bundles of probes, built by several processes."""

from __future__ import annotations

from functools import partial

import pytest

pytest.importorskip("onnx")
pytest.importorskip("openvino")

from edge_fgir import EdgeFgirError, InputError
from edge_fgir.exporting import read_target
from edge_fgir.models import Network
from edge_fgir.models.setting import Setting
from edge_fgir.profiling import probe_bundles
from edge_fgir.profiling.probe_bundles import build_probes, side_by_side
from edge_fgir.runs import Run

pytestmark = pytest.mark.export


@pytest.fixture
def folder(tmp_path):
    """Return new folders by name."""

    def make(name):
        (tmp_path / name).mkdir()
        return tmp_path / name

    return make


def test_workers_build_what_one_process_builds(tiny_run, folder, monkeypatch):
    trained = Run.open(tiny_run).description
    settings = [trained.at(Setting(size)) for size in (32, 48, 64)]
    target, graphs = read_target("openvino"), folder("graphs")
    alone = build_probes(settings, target, "fp32", folder("graphs alone"), folder("alone"))
    monkeypatch.setattr(probe_bundles, "_workers", lambda tasks: 2)
    found = build_probes(settings, target, "fp32", graphs, folder("fp32"))
    assert [_weights(bundle) for bundle in found] == [_weights(bundle) for bundle in alone]
    assert [bundle.manifest.input.shape[1] for bundle in found] == [32, 48, 64]
    known = {path: path.stat().st_mtime_ns for path in graphs.iterdir()}
    assert len(known) == 3
    build_probes(settings, target, "int8", graphs, folder("int8"))
    assert {path: path.stat().st_mtime_ns for path in graphs.iterdir()} == known


def test_what_a_worker_refuses_is_one_line_here(tiny_run, folder, monkeypatch):
    monkeypatch.setattr(probe_bundles, "_workers", lambda tasks: 2)
    wrong = Run.open(tiny_run).description.model_copy(update={"network": Network(name="lrnet41")})
    with pytest.raises(InputError, match="lrnet41"):
        build_probes([wrong] * 2, read_target("openvino"), "fp32", folder("graphs"), folder("out"))


def test_a_worker_that_is_killed_is_one_line(monkeypatch):
    monkeypatch.setattr(probe_bundles, "_workers", lambda tasks: 2)
    killed = partial(eval, "__import__('os').kill(__import__('os').getpid(), 9)")
    with pytest.raises(EdgeFgirError, match="probes: a process that exports was killed") as told:
        side_by_side("probes", [killed, killed])
    assert len(str(told.value).splitlines()) == 1


def _weights(bundle):
    return next(f.sha256 for f in bundle.manifest.files if f.path == "openvino/model.bin")
