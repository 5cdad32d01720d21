"""Post-hoc logit adjustment, folded into a bundle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax
from targets import loosened

from edge_fgir import Classifier
from edge_fgir.data import open_data
from edge_fgir.evaluation import known_counts
from edge_fgir.exporting import ExportOptions, export
from edge_fgir.exporting.graph import run_onnx, to_onnx
from edge_fgir.models.folding import folded
from edge_fgir.models.inference import logits_of
from edge_fgir.models.logit_adjustment import adjustment, with_adjustment
from edge_fgir.runs import Run
from edge_fgir.runtime import Bundle, verify

pytestmark = pytest.mark.export

COUNTS = (200, 50, 10)


@pytest.fixture(scope="module")
def uneven_run(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny run, as if it had learned from uneven classes."""
    run = tmp_path_factory.mktemp("uneven") / "run"
    shutil.copytree(tiny_run, run)
    values = json.loads((run / "model.json").read_text())
    assert values["train_counts"] == [24, 24, 24]
    (run / "model.json").write_text(json.dumps({**values, "train_counts": COUNTS}))
    return run


@pytest.fixture(scope="module")
def pictures(photos: Path, uneven_run: Path) -> np.ndarray:
    opened = Run.open(uneven_run)
    trained, _ = opened.description, opened.load()
    data = open_data(str(photos))
    images = [trained.preprocess.apply(data.read(sample)) for sample in data.split("test")]
    return np.stack(images)


def adjusted_logits(run: Path, pictures: np.ndarray, tau: float) -> np.ndarray:
    opened = Run.open(run)
    trained, model = opened.description, opened.load()
    logits = logits_of(model, pictures, trained.normalization, "torch")
    return logits + adjustment(COUNTS, tau)


def test_the_graph_gives_the_adjusted_logits(uneven_run: Path, pictures: np.ndarray) -> None:
    opened = Run.open(uneven_run)
    trained, model = opened.description, opened.load()
    plain = to_onnx(folded(model), trained.normalization, trained.preprocess.size, 18)
    with_adjustment(model, adjustment(COUNTS, 1.0), trained.preprocess.size)
    graph = to_onnx(folded(model), trained.normalization, trained.preprocess.size, 18)
    found = run_onnx(graph, pictures)
    assert found == pytest.approx(adjusted_logits(uneven_run, pictures, 1.0), abs=1e-5)
    # Free: not one operator more.
    assert [node.op_type for node in graph.graph.node] == [
        node.op_type for node in plain.graph.node
    ]


@pytest.mark.parametrize(("target", "precision"), [("arm", "fp32"), ("openvino", "int8")])
def test_a_bundle_answers_as_adjusted_torch(
    uneven_run: Path,
    photos: Path,
    pictures: np.ndarray,
    tmp_path: Path,
    target: str,
    precision: str,
) -> None:
    bundle = export(
        uneven_run,
        loosened(target, schemes=1, max_top1_drop=15.0),
        open_data(str(photos)),
        tmp_path / "x.fgir",
        ExportOptions(precision=precision, logit_adjustment=1.0),
    )
    assert all(check.ok for check in verify(bundle.path))
    wanted = adjusted_logits(uneven_run, pictures, 1.0)
    with Classifier.open(bundle.path) as model:
        found = np.concatenate([model.infer(image[None]) for image in pictures])
    if precision == "fp32":
        temperature = bundle.calibration.temperature
        assert found == pytest.approx(softmax(wanted / temperature, axis=1), abs=1e-4)
    assert (found.argmax(1) == wanted.argmax(1)).mean() > 0.9
    report = bundle.report("accuracy")
    assert report["logit_adjustment"] == 1.0
    assert [group["classes"] for group in report["shots"]] == [1, 1, 1]
    assert known_counts(bundle) == COUNTS


def test_without_it_nothing_is_adjusted_and_auto_says_its_tau(
    run_cli, uneven_run: Path, photos: Path, tmp_path: Path
) -> None:
    common = (uneven_run, "--target", "arm", "--data", photos, "--precision", "fp32")
    done = run_cli("export", *common, "--out", tmp_path / "a.fgir", "--json")
    assert done.json["logit_adjustment"] is None
    done = run_cli("export", *common, "--out", tmp_path / "b.fgir", "--logit-adjustment", "auto")
    assert done.code == 0
    tau = Bundle(tmp_path / "b.fgir").report("accuracy")["logit_adjustment"]
    assert 0 <= tau <= 2
    assert f"logits adjusted by the classes' training pictures, tau {tau:g}" in done.out
    done = run_cli("export", *common, "--out", tmp_path / "c.fgir", "--logit-adjustment", "11")
    assert (done.code, done.err) == (
        2,
        "error: --logit-adjustment 11; expected a number from 0 to 10, or auto\n",
    )
