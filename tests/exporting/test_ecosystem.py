"""Other people's tools open our files, without a line of edge_fgir."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bundles import LABELS, make_bundle
from PIL import Image
from runs import CLASSES
from signal_stack import is_whole, kept_signal_stack

from edge_fgir import Classifier
from edge_fgir.exporting.model_api import model_api_metadata
from edge_fgir.exporting.openvino_ir import ir_files, set_metadata
from edge_fgir.runtime import Bundle, Preprocess
from edge_fgir.runtime.runtimes.openvino import openvino_core

pytestmark = pytest.mark.export


def golden(bundle: Path) -> tuple[np.ndarray, list[int]]:
    """Return the golden images, and what our Classifier says they are."""
    opened = Bundle(bundle)
    images = [
        np.asarray(Image.open(io.BytesIO(opened.read(f"golden/{image.file}"))))
        for image in opened.golden.images
    ]
    with Classifier.open(bundle) as model:
        answers = [model(image, color="rgb").index for image in images]
    assert len(set(answers)) > 1  # a constant would prove nothing
    return np.stack(images), answers


def test_plain_onnx_runtime(tiny_export: Callable) -> None:
    import onnxruntime as ort

    bundle = tiny_export("arm", "fp32")
    session = ort.InferenceSession(bundle / "model.onnx", providers=["CPUExecutionProvider"])
    (source,), (answer, *_) = session.get_inputs(), session.get_outputs()
    assert (source.type, source.shape) == ("tensor(uint8)", [1, 32, 32, 3])
    assert (answer.type, answer.shape) == ("tensor(float)", [1, len(CLASSES)])
    images, expected = golden(bundle)
    found = [session.run(None, {source.name: image[None]})[0] for image in images]
    assert [int(probabilities.argmax()) for probabilities in found] == expected
    assert np.allclose(np.concatenate(found).sum(axis=1), 1, atol=1e-5)
    info = session.get_modelmeta().custom_metadata_map
    assert info["model_info model_type"] == "Classification"
    assert info["model_info labels"].split(" ") == list(CLASSES)


@pytest.mark.usefixtures("signal_stack")
def test_openvinos_model_api(tiny_export: Callable) -> None:
    """Its ClassificationModel reads labels, colours and resize from the IR's own ``rt_info``."""
    models = pytest.importorskip("model_api.models", reason="needs openvino-model-api")
    bundle = tiny_export("openvino", "fp32")
    model = models.ClassificationModel.create_model(str(bundle / "openvino" / "model.xml"))
    images, expected = golden(bundle)
    found = [model(image[..., ::-1].copy()).top_labels[0] for image in images]  # BGR, as cv2 reads
    assert [label.id for label in found] == expected
    assert [label.name for label in found] == [CLASSES[index] for index in expected]


@pytest.mark.usefixtures("signal_stack")
@pytest.mark.parametrize("size", [(300, 200), (48, 120)])
def test_model_api_sees_the_pixels_of_a_photo_of_any_size(size, tmp_path: Path) -> None:
    """Shrunk and enlarged, not only pictures of the model's own size."""
    bundle = described(tmp_path, crop_fraction=1.0)
    models = pytest.importorskip("model_api.models", reason="needs openvino-model-api")
    model = models.ClassificationModel.create_model(str(bundle / "openvino" / "model.xml"))
    photo = photo_of(size)
    answer = model(photo[..., ::-1].copy()).top_labels[0]
    with Classifier.open(bundle) as ours:
        expected = ours(photo, color="rgb")
    assert answer.name == expected.label
    assert answer.confidence == pytest.approx(expected.score, abs=2e-3)


@pytest.mark.usefixtures("signal_stack")
def test_model_api_opens_nothing_that_it_would_show_other_pixels(tmp_path: Path) -> None:
    bundle = described(tmp_path, crop_fraction=0.875)
    models = pytest.importorskip("model_api.models", reason="needs openvino-model-api")
    path = str(bundle / "openvino" / "model.xml")
    # What it makes of the same file when it is told to stretch: another answer.
    told = models.ClassificationModel.create_model(
        path, "Classification", configuration={"resize_type": "standard"}
    )
    photo = photo_of((300, 200))
    with Classifier.open(bundle) as ours:
        assert told(photo[..., ::-1].copy()).top_labels[0].confidence != pytest.approx(
            ours(photo, color="rgb").score, abs=2e-3
        )
    with pytest.raises(Exception, match="There is no model with name"):
        models.ClassificationModel.create_model(path)


def test_cores_that_others_make_leave_the_signal_stack_alone() -> None:
    """Two that end in the order they began, as the model API's may."""
    openvino = pytest.importorskip("openvino")
    with kept_signal_stack():
        first, second = openvino.Core(), openvino.Core()
        assert first.available_devices == second.available_devices
        del first
        del second
        assert not is_whole()
    assert is_whole()


def photo_of(size: tuple[int, int]) -> np.ndarray:
    """Red in the middle, other colours towards the edge: a crop changes the mean colour."""
    height, width = size
    far = np.hypot(
        *np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    )
    red = np.stack([255 * (far < 0.8), 90 * far, 120 * (far > 0.9)], axis=-1)
    return red.clip(0, 255).astype(np.uint8)


def described(tmp_path: Path, crop_fraction: float) -> Path:
    """A bundle that tells colours apart, with the metadata that an export gives it."""
    preprocess = Preprocess(size=32, antialias=False, crop_fraction=crop_fraction)
    plain = make_bundle(tmp_path / "plain.fgir") / "openvino"
    model = openvino_core().read_model(plain / "model.xml")
    set_metadata(model, model_api_metadata(preprocess, LABELS))
    files = {**ir_files(model), "preprocess.json": preprocess.model_dump_json().encode()}
    return make_bundle(tmp_path / "x.fgir", replaced=files)
