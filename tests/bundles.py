"""A whole, sealed OpenVINO bundle of a few kilobytes that tells colours apart."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from edge_fgir.runtime import Calibration, Golden, GoldenImage, Manifest, Preprocess

LABELS = ("red", "green", "blue")
UNKNOWN_THRESHOLD = 0.5
_SHARPNESS = 8.0
# OpenVINO computes in bfloat16 on CPUs that can.
_TOLERANCE = 0.02
_GOLDEN = {"red": (250, 20, 30), "green": (40, 200, 60), "blue": (10, 50, 180)}


def make_bundle(path: Path, *, labels: tuple[str, ...] = LABELS, size: int = 32) -> Path:
    """Write a bundle to the new folder ``path`` and return it.

    Its classes lie evenly on the colour circle, starting at red, so a red picture is ``labels[0]``
    with a score near 1, and a grey one gets the same probability everywhere: it is unknown.
    """
    contents = _model_files(len(labels), size)
    contents["labels.txt"] = "".join(f"{label}\n" for label in labels).encode()
    contents["preprocess.json"] = Preprocess(size=size).model_dump_json().encode()
    contents["calibration.json"] = _calibration().model_dump_json().encode()
    contents["reports/accuracy.json"] = json.dumps({"top1": 100.0}).encode()
    contents.update(_golden_files(len(labels), size))
    manifest = Manifest.sealed(
        contents,
        name=path.name,
        created="2026-01-31T12:00:00Z",
        versions={"edge-fgir": "0"},
        source_commit="unknown",
        target="openvino",
        runtime="openvino",
        precision="fp32",
        architecture="colour_mean",
        params=3 * len(labels),
        model_file="openvino/model.xml",
        input={"name": "image", "shape": (1, size, size, 3)},
        output={"name": "probabilities", "classes": len(labels)},
        normalization={"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)},
        data={"name": "colours", "licence": "CC0-1.0", "hash": "0" * 64},
    )
    contents["manifest.json"] = manifest.dump().encode()
    for name, data in contents.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return path


def expected_probabilities(rgb: npt.NDArray[np.uint8], classes: int) -> npt.NDArray[np.float32]:
    """Return what the model must answer to (H, W, 3) pixels, computed in numpy: (K,)."""
    logits = rgb.reshape(-1, 3).mean(axis=0) / 255 @ _weights(classes)
    exponentials = np.exp(logits - logits.max())
    return (exponentials / exponentials.sum()).astype(np.float32)


def _weights(classes: int) -> npt.NDArray[np.float32]:
    channel, label = np.meshgrid(np.arange(3) / 3, np.arange(classes) / classes, indexing="ij")
    return (_SHARPNESS * np.cos(2 * np.pi * (channel - label))).astype(np.float32)


def _model_files(classes: int, size: int) -> dict[str, bytes]:
    import openvino as ov
    from openvino import opset13 as ops

    image = ops.parameter([1, size, size, 3], np.uint8, name="image")
    image.output(0).set_names({"image"})
    mean = ops.reduce_mean(ops.convert(image, "f32"), np.array([1, 2]), keep_dims=False)
    logits = ops.matmul(ops.divide(mean, np.float32(255)), _weights(classes), False, False)
    probabilities = ops.softmax(logits, 1)
    probabilities.output(0).set_names({"probabilities"})
    model = ov.Model([ops.result(probabilities)], [image], "colour_mean")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.xml"
        ov.save_model(model, file, compress_to_fp16=False)
        return {f"openvino/{part.name}": part.read_bytes() for part in Path(folder).iterdir()}


def _calibration() -> Calibration:
    return Calibration(
        temperature=1.0,
        unknown_threshold=UNKNOWN_THRESHOLD,
        kept=0.95,
        ece_before=5.0,
        ece_after=1.0,
        validation_images=30,
        quantization_images=0,
        quantization_hash="0" * 64,
    )


def _golden_files(classes: int, size: int) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    images = []
    for name, color in _GOLDEN.items():
        pixels = np.full((size, size, 3), color, np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        files[f"golden/{name}.png"] = buffer.getvalue()
        probabilities = expected_probabilities(pixels, classes).tolist()
        images.append(GoldenImage(file=f"{name}.png", probabilities=probabilities))
    golden = Golden(tolerance=_TOLERANCE, images=images)
    files["golden/expected.json"] = golden.model_dump_json().encode()
    return files
