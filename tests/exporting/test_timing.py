"""Bundles that are only timed."""

from __future__ import annotations

import logging

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("openvino")

from edge_fgir.exporting import read_target
from edge_fgir.exporting.timing import timing_graph, write_timing_bundle
from edge_fgir.runs import Run
from edge_fgir.runtime import Bundle, Classifier

pytestmark = pytest.mark.export


@pytest.fixture(scope="module")
def trained(tiny_run):
    return Run.open(tiny_run).description


@pytest.mark.parametrize("name", ["openvino", "arm"])
def test_they_run_as_real_ones_do_in_every_precision(trained, name, tmp_path, capsys):
    target = read_target(name)
    graph = timing_graph(trained, target)
    filters, handlers = logging.root.filters[:], logging.root.handlers[:]
    sizes = {}
    for precision in ("fp32", "int8"):
        out = tmp_path / f"{precision}.fgir"
        bundle = write_timing_bundle(trained, target, precision, graph, out)
        sizes[precision] = bundle.model_size
        assert bundle.manifest.precision == precision
        with Classifier.open(out) as model:
            answer = model(np.zeros((48, 48, 3), np.uint8))
        assert answer.probabilities.sum() == pytest.approx(1, abs=1e-3)
        assert len(answer.labels) == trained.num_classes
    # Nor must a program that exports log otherwise afterwards.
    assert (logging.root.filters, logging.root.handlers[:]) == (filters, handlers)
    assert logging.getLogger("nncf").level != logging.ERROR
    assert sizes["int8"] < 0.5 * sizes["fp32"]
    # What quantizers draw must not stand between a command and its answer.
    assert capsys.readouterr().out == ""


def test_their_graph_is_the_one_that_is_exported(trained, tiny_run):
    from edge_fgir.exporting.graph import to_onnx
    from edge_fgir.models.folding import folded

    target = read_target("openvino")
    opened = Run.open(tiny_run)
    _, model = opened.description, opened.load()
    real = to_onnx(folded(model), trained.normalization, trained.preprocess.size, target.opset)
    probe = timing_graph(trained, target)
    assert [node.op_type for node in probe.graph.node] == [n.op_type for n in real.graph.node]


def test_they_cost_what_is_shipped(trained, tiny_export, tmp_path) -> None:
    """The same operations but for numbers: biases, head and features that a runtime cannot drop."""
    from edge_fgir.exporting.openvino_ir import operations_in
    from edge_fgir.runtime.runtimes.openvino import openvino_core

    target = read_target("openvino")
    probe = write_timing_bundle(
        trained, target, "int8", timing_graph(trained, target), tmp_path / "probe.fgir"
    )
    real = Bundle(tiny_export("openvino", "int8"))
    kinds = [
        operations_in(openvino_core().read_model(bundle.path / bundle.manifest.model_file))
        for bundle in (probe, real)
    ]
    assert kinds[0] == kinds[1]
    assert probe.novelty is not None
    assert probe.manifest.features == real.manifest.features
