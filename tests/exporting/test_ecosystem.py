"""Other people's tools open our files, without a line of edge_fgir."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from runs import CLASSES

from edge_fgir import Classifier
from edge_fgir.runtime import Bundle

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
    (source,), (answer,) = session.get_inputs(), session.get_outputs()
    assert (source.type, source.shape) == ("tensor(uint8)", [1, 32, 32, 3])
    assert (answer.type, answer.shape) == ("tensor(float)", [1, len(CLASSES)])
    images, expected = golden(bundle)
    found = [session.run(None, {source.name: image[None]})[0] for image in images]
    assert [int(probabilities.argmax()) for probabilities in found] == expected
    assert np.allclose(np.concatenate(found).sum(axis=1), 1, atol=1e-5)
    info = session.get_modelmeta().custom_metadata_map
    assert info["model_info model_type"] == "Classification"
    assert info["model_info labels"].split(" ") == list(CLASSES)


def test_openvinos_model_api(tiny_export: Callable) -> None:
    """Its ClassificationModel reads labels, colours and resize from the IR's own ``rt_info``."""
    models = pytest.importorskip("model_api.models", reason="needs openvino-model-api")
    bundle = tiny_export("openvino", "fp32")
    model = models.ClassificationModel.create_model(str(bundle / "openvino" / "model.xml"))
    images, expected = golden(bundle)
    found = [model(image[..., ::-1].copy()).top_labels[0] for image in images]  # BGR, as cv2 reads
    assert [label.id for label in found] == expected
    assert [label.name for label in found] == [CLASSES[index] for index in expected]
