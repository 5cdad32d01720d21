import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from runs import fitted
from shared import Shared

from edge_fgir.data import open_data, prepared_images, typical_images
from edge_fgir.models.inference import logits_of
from edge_fgir.models.setting import Setting
from edge_fgir.runs import Run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def elastic_run(photos: Path, shared: Shared) -> Path:
    return fitted(shared, "elastic", photos, elastic={"image_sizes": [16, 24, 32]})


def test_an_elastic_run_learns_and_is_watched_at_every_size(elastic_run: Path) -> None:
    summary = json.loads((elastic_run / "summary.json").read_text())
    assert min(summary[key] for key in ("val_top1", "val_top1_24", "val_top1_16")) > 60


@pytest.mark.parametrize("size", [16, 24, 32])
def test_evaluation_finds_what_the_run_saw(
    run_cli: Callable, photos: Path, elastic_run: Path, size: int
) -> None:
    done = run_cli(
        "eval", elastic_run, "--data", photos, "--split", "val", "--image-size", size, "--json"
    )
    assert done.code == 0, done.err
    summary = json.loads((elastic_run / "summary.json").read_text())
    key = "val_top1" if size == 32 else f"val_top1_{size}"
    assert done.json["top1"] == pytest.approx(summary[key])
    assert done.json["image_size"] == size


def test_statistics_of_another_size_are_measured_again(photos: Path, elastic_run: Path) -> None:
    data = open_data(str(photos))
    at_16 = Run.open(elastic_run).at(Setting(16))
    trained, model = at_16.description, at_16.load(lambda p: typical_images(data, p))
    opened = Run.open(elastic_run)
    _, as_saved = opened.description, opened.load()
    assert trained.preprocess.size == 16
    pairs = zip(model.named_buffers(), as_saved.named_buffers(), strict=True)
    assert any(not torch.equal(a, b) for (_, a), (_, b) in pairs)
    same = zip(model.parameters(), as_saved.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)


def test_a_plain_run_at_its_own_size_needs_no_training_images(tiny_run: Path) -> None:
    def fail(preprocess: object) -> np.ndarray:
        raise AssertionError

    opened = Run.open(tiny_run)
    trained, model = opened.description, opened.load(fail)
    assert trained.preprocess.size == 32
    expected = Run.open(tiny_run).load().state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())


@pytest.mark.export
def test_a_bundle_of_another_size_answers_as_torch_does(
    run_cli: Callable, photos: Path, elastic_run: Path, tmp_path: Path
) -> None:
    from edge_fgir import Classifier

    out = tmp_path / "small.fgir"
    done = run_cli(
        "export", elastic_run, "--target", "openvino", "--precision", "fp32",
        "--image-size", 24, "--data", photos, "--out", out,
    )  # fmt: skip
    assert done.code == 0, done.err
    data = open_data(str(photos))
    at_24 = Run.open(elastic_run).at(Setting(24))
    trained, model = at_24.description, at_24.load(lambda p: typical_images(data, p))
    images = prepared_images(data, data.split("test"), trained.preprocess)
    logits = logits_of(model, images, trained.normalization, "torch")
    with Classifier.open(out) as classifier:
        assert classifier.image_size == 24
        found = np.concatenate([classifier.infer(image[None]) for image in images])
    assert (found.argmax(1) == logits.argmax(1)).all()
    refused = run_cli("eval", out, "--data", photos, "--image-size", 24)
    assert refused.code == 2
    assert "in which it is fixed" in refused.err
