"""GLSim from a recipe to a bundle: trained, exported for every target, asked where it looked."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from runs import RECIPE, fitted
from shared import Shared
from targets import loosened

from edge_fgir import Classifier
from edge_fgir.data import open_data
from edge_fgir.exporting import ExportOptions, export
from edge_fgir.models.glsim import GLSim, GLSimOptions
from edge_fgir.models.inference import normalized_batches
from edge_fgir.runs import Run
from edge_fgir.runtime import Bundle, Region, verify

pytestmark = [pytest.mark.export, pytest.mark.slow]

SIZE = 64


@pytest.fixture(scope="module")
def run(photos: Path, shared: Shared) -> Path:
    return fitted(
        shared,
        "glsim",
        photos,
        epochs=3,
        model={
            "name": "vit_tiny_patch16_224",
            "options": {"depth": 2, "embed_dim": 64, "num_heads": 1},
            "glsim": {"top_o": 3, "zero_head": False},
        },
        data={**RECIPE["data"], "view_size": SIZE},
        eval={"image_size": SIZE, "every_epochs": 3},
    )


@pytest.fixture(scope="module")
def bundles(photos: Path, run: Path, shared: Shared) -> Callable:
    def make(name: str, precision: str) -> Path:
        def fill(path: Path) -> None:
            target = loosened(name, schemes=1)
            export(run, target, open_data(str(photos)), path, ExportOptions(precision=precision))

        return shared.folder(f"glsim-{name}-{precision}.fgir", fill)

    return make


def test_a_run_keeps_its_settings(run: Path) -> None:
    opened = Run.open(run)
    trained, model = opened.description, opened.load()
    assert trained.network.glsim == GLSimOptions(top_o=3, zero_head=False)
    assert isinstance(model, GLSim)
    assert model.grid == 4


@pytest.mark.parametrize(
    ("target", "precision"),
    [("openvino", "fp32"), ("openvino", "int8"), ("arm", "int8"), ("jetson", "fp16")],
)
def test_a_bundle_looks_where_torch_does(
    bundles: Callable, run: Path, photos: Path, target: str, precision: str
) -> None:
    path = bundles(target, precision)
    assert all(check.ok for check in verify(path, "cpu"))
    bundle = Bundle(path)
    assert bundle.manifest.precision == precision
    report = bundle.report("regions")
    assert report["images"] == 36
    assert report["mean_iou"] > {"fp32": 0.999, "fp16": 0.9, "int8": 0.999}[precision]
    opened = Run.open(run)
    trained, model = opened.description, opened.load()
    with Classifier.open(path, "cpu") as classifier:
        files = sorted((photos / "test").rglob("*.png"))[::6]
        found = [classifier(file) for file in files]
        prepared = np.stack([classifier.prepare(file) for file in files])
    (batch,) = normalized_batches(prepared, trained.normalization, torch.device("cpu"))
    with torch.inference_mode():
        wanted = model.look(batch)
    for one, region, values in zip(found, wanted.region, wanted.similarity, strict=True):
        assert one.map.shape == (4, 4)
        if precision == "fp32":
            photo = trained.preprocess.to_photo(Region(*region.tolist()), 48, 48)
            assert one.region == pytest.approx(photo)
            assert one.map == pytest.approx(values.numpy(), abs=1e-4)


def test_it_is_benched_and_evaluated_as_any_other(
    run_cli: Callable, quick_bench: None, bundles: Callable, photos: Path, run: Path
) -> None:
    path = bundles("openvino", "fp32")
    done = run_cli("bench", path, "--seconds", "0.1", "--json")
    assert done.code in (0, 1), done.err
    assert done.json["n"] >= 100
    answer = run_cli("eval", path, "--data", photos, "--json").json["top1"]
    assert answer == pytest.approx(run_cli("eval", run, "--data", photos, "--json").json["top1"])


def test_a_camera_sees_it(run_cli: Callable, bundles: Callable, photos: Path) -> None:
    done = run_cli("camera", bundles("openvino", "fp32"), "--source", photos / "test")
    assert done.code == 0, done.err


@pytest.mark.usefixtures("signal_stack")
def test_openvinos_model_api_reads_it(bundles: Callable, photos: Path) -> None:
    models = pytest.importorskip("model_api.models", reason="needs openvino-model-api")
    path = bundles("openvino", "fp32")
    model = models.ClassificationModel.create_model(str(path / "openvino" / "model.xml"))
    file = sorted((photos / "test").rglob("*.png"))[0]
    with Classifier.open(path) as classifier:
        pixels, wanted = classifier.prepare(file), classifier(file)
    assert model(pixels[..., ::-1].copy()).top_labels[0].id == wanted.index


def test_another_size_of_the_same_run(
    run_cli: Callable, photos: Path, run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x.fgir"
    arguments = ("--target", "arm", "--precision", "fp32", "--image-size", 96, "--max-drop", 100)
    done = run_cli("export", run, *arguments, "--data", photos, "--out", out)
    assert done.code == 0, done.err
    explanation = Bundle(out).manifest.explanation
    assert explanation is not None
    assert explanation.grid == 6
