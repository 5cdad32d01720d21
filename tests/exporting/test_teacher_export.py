"""A CAL teacher is exported like any other network: its single forward is a static graph."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import softmax
from targets import exported_targets, loosened

from edge_fgir import Classifier
from edge_fgir.data import open_data
from edge_fgir.exporting import ExportOptions, export, read_target, target_names
from edge_fgir.exporting.graph import check_ops, float_nodes, run_onnx, to_onnx
from edge_fgir.models import Network, folded
from edge_fgir.models.inference import logits_of
from edge_fgir.runs import Run
from edge_fgir.runtime import Normalization, verify

pytestmark = pytest.mark.export

NORMALIZATION = Normalization(mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))


@pytest.mark.parametrize("backbone", ["lrnet14", "vitfs_nano"])
def test_the_graph_is_torch_with_its_pooling_in_float(backbone: str) -> None:
    torch.manual_seed(0)
    model = Network(name=backbone, attention_maps=4).build(5, 64).eval()
    pictures = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    for name in target_names():
        target = read_target(name)
        graph = to_onnx(folded(model), NORMALIZATION, 64, target.opset)
        check_ops(graph, target.ops, name)
        kinds = {node.name: node.op_type for node in graph.graph.node}
        assert {"MatMul", "Sign", "Sqrt"} <= {kinds[node] for node in float_nodes(graph)}
        expected = logits_of(model, pictures, NORMALIZATION, "torch")
        assert np.abs(run_onnx(graph, pictures) - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("target", exported_targets())
def test_a_teacher_becomes_a_bundle(
    teacher_run: Path, photos: Path, target: str, tmp_path: Path
) -> None:
    data = open_data(str(photos))
    path = tmp_path / "teacher.fgir"
    export(teacher_run, loosened(target), data, path, ExportOptions(precision="int8"))
    assert all(check.ok for check in verify(path))
    run = Run.open(teacher_run)
    with Classifier.open(path, device="cpu" if target == "jetson" else "auto") as classifier:
        prepared = np.stack([classifier.prepare(data.read(each)) for each in data.split("test")])
        answers = [classifier(data.read(each)).probabilities for each in data.split("test")]
        temperature = classifier.bundle.calibration.temperature
    logits = logits_of(run.load(), prepared, run.description.normalization, "torch")
    expected = softmax(logits / temperature, axis=1)
    error = np.abs(np.stack(answers) - expected).mean()
    assert error < 0.3 * expected.std(axis=0).mean()
