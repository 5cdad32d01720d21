"""Whole, sealed bundles of a few kilobytes that tell colours apart, and ways to spoil them."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from edge_fgir.runtime import Calibration, Golden, GoldenImage, Manifest, Preprocess, find_runtime

LABELS = ("red", "green", "blue")
UNKNOWN_THRESHOLD = 0.5
GRID, LOOK = 4, (8.0, 4.0, 24.0, 20.0)
_EXPLANATION = {"region": "region", "similarity": "similarity", "grid": GRID, "top_o": 3}
RUNTIMES = {
    "openvino": "openvino",
    "arm": "onnxruntime",
    "litert": "litert",
    "jetson": "tensorrt",
    "web": "litert",
}
_MODEL_FILES = {
    "openvino": "openvino/model.xml",
    "litert": "model.tflite",
    "web": "model.tflite",
}
_OF_THE_SEAL = ("schema", "files", "seal")
_SHARPNESS = 8.0
_TOLERANCE = 0.001
_GOLDEN = {"red": (250, 20, 30), "green": (40, 200, 60), "blue": (10, 50, 180)}


def make_bundle(
    path: Path,
    *,
    labels: tuple[str, ...] = LABELS,
    size: int = 32,
    target: str = "openvino",
    looks_twice: bool = False,
    replaced: Mapping[str, bytes | None] | None = None,
    **fields: Any,
) -> Path:
    """Write a bundle to the new folder ``path`` and return it.

    Its classes lie evenly on the colour circle, starting at red, so a red picture is ``labels[0]``
    with a score near 1, and a grey one gets the same probability everywhere: it is unknown.

    Args:
        labels: Class names.
        size: Side of the input, pixels.
        target: openvino, litert, web, arm or jetson; the last two hold the same graph as ONNX.
        looks_twice: Let it have the outputs of a GLSim: :data:`LOOK`, and as its map the mean
            brightness of :data:`GRID` x :data:`GRID` patches.
        replaced: Files that are added, replaced or (None) left out before the bundle is sealed.
        fields: Manifest fields that replace the right ones.
    """
    makers = {"openvino": _openvino_files, "litert": _litert_files, "web": _litert_files}
    model_files = makers.get(target, _onnx_files)
    contents = model_files(len(labels), size, looks_twice)
    if target == "jetson":
        contents["tensorrt/build.json"] = json.dumps({"workspace_mb": 64}).encode()
    contents["labels.txt"] = "".join(f"{label}\n" for label in labels).encode()
    contents["preprocess.json"] = Preprocess(size=size).model_dump_json().encode()
    contents["calibration.json"] = _calibration().model_dump_json().encode()
    contents["reports/accuracy.json"] = json.dumps({"top1": 100.0}).encode()
    contents.update(_golden_files(len(labels), size))
    for name, data in (replaced or {}).items():
        if data is None:
            del contents[name]
        else:
            contents[name] = data
    known = {
        "name": path.name,
        "created": "2026-01-31T12:00:00Z",
        "versions": {"edge-fgir": "0"},
        "source_commit": "unknown",
        "target": target,
        "runtime": RUNTIMES[target],
        "precision": "fp32",
        "architecture": "colour_mean",
        "params": 3 * len(labels),
        "model_file": _MODEL_FILES.get(target, "model.onnx"),
        "input": {"name": "image", "shape": (1, size, size, 3)},
        "output": {"name": "probabilities", "classes": len(labels)},
        "explanation": _EXPLANATION if looks_twice else None,
        "normalization": {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)},
        "data": {"name": "colours", "licence": "CC0-1.0", "hash": "0" * 64},
    }
    manifest = Manifest.sealed(contents, **{**known, **fields})
    contents["manifest.json"] = manifest.dump().encode()
    for name, data in contents.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return path


def needs_runtime(target: str) -> None:
    """Skip the test where what opens such a bundle on a CPU is not installed."""
    spec = find_runtime(RUNTIMES[target])
    pytest.importorskip(spec.library_for(spec.gate_device))


def two_runtimes(path: Path, size: int = 32) -> Path:
    """Write a bundle for ARM with LiteRT's file and ONNX Runtime's, and return it.

    The latter has a calibration of its own, whose threshold is half of the other's.
    """
    own = _calibration().model_copy(update={"unknown_threshold": UNKNOWN_THRESHOLD / 2})
    form = {
        "runtime": "onnxruntime",
        "precision": "fp32",
        "folder": "onnxruntime",
        "model_file": "onnxruntime/model.onnx",
    }
    added = {
        "onnxruntime/model.onnx": _onnx_files(len(LABELS), size, looks_twice=False)["model.onnx"],
        "onnxruntime/calibration.json": own.model_dump_json().encode(),
    }
    return make_bundle(path, size=size, target="litert", replaced=added, forms=(form,))


def with_variant(path: Path, first: Path, second: Path) -> Path:
    """Write a bundle whose second variant is another bundle of the same kind, and return it."""
    folder = f"variants/{second.stem}"
    shutil.copytree(first, path)
    shutil.copytree(second, path / folder)
    for name in ("manifest.json", "labels.txt"):
        (path / folder / name).unlink()
    other = json.loads((second / "manifest.json").read_text())
    spec = {
        **{name: other[name] for name in ("precision", "input")},
        "folder": folder,
        "model_file": f"{folder}/{other['model_file']}",
        "forms": other.get("forms"),
    }
    for form in spec["forms"] or ():
        form |= {name: f"{folder}/{form[name]}" for name in ("folder", "model_file")}
    return reseal(path, variants=(spec,))


def reseal(path: Path, **fields: Any) -> Path:
    """Seal the files of a bundle as they are now, and return it.

    Args:
        path: The bundle.
        fields: Manifest fields that replace the right ones.
    """
    known = json.loads((path / "manifest.json").read_text())
    kept = {name: value for name, value in known.items() if name not in _OF_THE_SEAL}
    files = [file for file in path.rglob("*") if file.is_file() and file.name != "manifest.json"]
    contents = {file.relative_to(path).as_posix(): file.read_bytes() for file in files}
    (path / "manifest.json").write_text(Manifest.sealed(contents, **kept | fields).dump())
    return path


def edit_manifest(bundle: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Let ``change`` alter the manifest's values and seal them again, as an attacker would."""
    file = bundle / "manifest.json"
    values = json.loads(file.read_text())
    change(values)
    values["seal"] = ""
    values["seal"] = hashlib.sha256(_text(values)).hexdigest()
    file.write_bytes(_text(values))
    return bundle


def _text(values: dict[str, Any]) -> bytes:
    return (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode()


def zip_bundle(
    folder: Path,
    path: Path,
    *,
    compression: int = zipfile.ZIP_STORED,
    added: tuple[tuple[str, bytes], ...] = (),
) -> Path:
    """Write the bundle ``folder`` as the zip ``path``, with entries ``added`` at its end."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            archive.write(file, file.relative_to(folder).as_posix())
        for name, data in added:
            archive.writestr(name, data)
    return path


def expected_probabilities(rgb: npt.NDArray[np.uint8], classes: int) -> npt.NDArray[np.float32]:
    """Return what the model must answer to (H, W, 3) pixels, computed in numpy: (K,)."""
    logits = rgb.reshape(-1, 3).mean(axis=0) / 255 @ _weights(classes)
    exponentials = np.exp(logits - logits.max())
    return (exponentials / exponentials.sum()).astype(np.float32)


def _weights(classes: int) -> npt.NDArray[np.float32]:
    channel, label = np.meshgrid(np.arange(3) / 3, np.arange(classes) / classes, indexing="ij")
    return (_SHARPNESS * np.cos(2 * np.pi * (channel - label))).astype(np.float32)


def _openvino_files(classes: int, size: int, looks_twice: bool) -> dict[str, bytes]:
    ov = pytest.importorskip("openvino", reason="OpenVINO writes these bundles")
    ops = ov.opset13

    image = ops.parameter([1, size, size, 3], np.uint8, name="image")
    image.output(0).set_names({"image"})
    mean = ops.reduce_mean(ops.convert(image, "f32"), np.array([1, 2]), keep_dims=False)
    logits = ops.matmul(ops.divide(mean, np.float32(255)), _weights(classes), False, False)
    probabilities = ops.softmax(logits, 1)
    probabilities.output(0).set_names({"probabilities"})
    results = [probabilities]
    if looks_twice:
        patch = size // GRID
        apart = ops.reshape(ops.convert(image, "f32"), [1, GRID, patch, GRID, patch, 3], False)
        bright = ops.reduce_mean(apart, np.array([2, 4, 5]), keep_dims=False)
        region = ops.constant(np.array([LOOK], np.float32))
        results += [region, ops.divide(bright, np.float32(255))]
        for name, value in zip(("region", "similarity"), results[1:], strict=True):
            value.output(0).set_names({name})
    model = ov.Model([ops.result(one) for one in results], [image], "colour_mean")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.xml"
        ov.save_model(model, file, compress_to_fp16=False)
        return {f"openvino/{part.name}": part.read_bytes() for part in Path(folder).iterdir()}


def _onnx_files(classes: int, size: int, looks_twice: bool) -> dict[str, bytes]:
    from onnx import TensorProto, helper, numpy_helper

    constants = {
        "axes": np.array([1, 2]),
        "scale": np.float32(1 / 255),
        "weights": _weights(classes),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "scale"], ["color"]),
        helper.make_node("MatMul", ["color", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    shapes = {"probabilities": [1, classes]}
    if looks_twice:
        patch = size // GRID
        constants |= {
            "patches": np.array([1, GRID, patch, GRID, patch, 3]),
            "inside": np.array([2, 4, 5]),
            "look": np.array([LOOK], np.float32),
        }
        nodes += [
            helper.make_node("Reshape", ["float", "patches"], ["apart"]),
            helper.make_node("ReduceMean", ["apart", "inside"], ["bright"], keepdims=0),
            helper.make_node("Mul", ["bright", "scale"], ["similarity"]),
            helper.make_node("Identity", ["look"], ["region"]),
        ]
        shapes |= {"region": [1, 4], "similarity": [1, GRID, GRID]}
    graph = helper.make_graph(
        nodes,
        "colour_mean",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, size, size, 3])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items()],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    return {"model.onnx": model.SerializeToString()}


def _litert_files(classes: int, size: int, looks_twice: bool) -> dict[str, bytes]:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs = 3, [graph]
    model.buffers, model.operatorCodes = [schema.BufferT()], []
    graph.tensors, graph.operators = [], []
    types = {"uint8": schema.TensorType.UINT8, "float32": schema.TensorType.FLOAT32}
    types["int32"] = schema.TensorType.INT32

    def tensor(name: str, shape: list[int], kind: str = "float32") -> int:
        made = schema.TensorT()
        made.name, made.shape, made.type = name.encode(), shape, types[kind]
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    def constant(value: npt.NDArray[Any]) -> int:
        place = tensor(f"constant {len(graph.tensors)}", list(value.shape), value.dtype.name)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(value.tobytes(), np.uint8)
        model.buffers.append(buffer)
        graph.tensors[place].buffer = len(model.buffers) - 1
        return place

    def append(kind: str, inputs: list[int], output: int, options: Any) -> int:
        code, made = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, kind)
        code.version = 1
        model.operatorCodes.append(code)
        made.opcodeIndex, made.inputs, made.outputs = len(model.operatorCodes) - 1, inputs, [output]
        if options is not None:
            name = type(options).__name__.removesuffix("T")
            made.builtinOptionsType = getattr(schema.BuiltinOptions, name)
            made.builtinOptions = options
        graph.operators.append(made)
        return output

    softmax = schema.SoftmaxOptionsT()
    softmax.beta = 1.0
    image = tensor("image", [1, size, size, 3], "uint8")
    floats = append("CAST", [image], tensor("floats", [1, size, size, 3]), schema.CastOptionsT())
    factor = constant(np.asarray([1 / 255], np.float32))
    scaled = tensor("scaled", [1, size, size, 3])
    append("MUL", [floats, factor], scaled, schema.MulOptionsT())
    inside = constant(np.asarray([1, 2], np.int32))
    color = append("MEAN", [scaled, inside], tensor("color", [1, 3]), schema.ReducerOptionsT())
    weights = constant(np.ascontiguousarray(_weights(classes).T))
    logits, options = tensor("logits", [1, classes]), schema.FullyConnectedOptionsT()
    append("FULLY_CONNECTED", [color, weights, -1], logits, options)
    probabilities = tensor("probabilities", [1, classes])
    graph.inputs = [image]
    graph.outputs = [append("SOFTMAX", [logits], probabilities, softmax)]
    if looks_twice:
        patch = size // GRID
        shape = [GRID, patch, GRID, 3 * patch]
        parts = constant(np.asarray(shape, np.int32))
        apart = append("RESHAPE", [scaled, parts], tensor("apart", shape), None)
        rows = constant(np.asarray([1], np.int32))
        lines = tensor("lines", [GRID, GRID, 3 * patch])
        append("MEAN", [apart, rows], lines, schema.ReducerOptionsT())
        columns = constant(np.asarray([2], np.int32))
        bright = tensor("bright", [GRID, GRID])
        append("MEAN", [lines, columns], bright, schema.ReducerOptionsT())
        whole = constant(np.asarray([1, GRID, GRID], np.int32))
        similarity = tensor("similarity", [1, GRID, GRID])
        append("RESHAPE", [bright, whole], similarity, None)
        look, nothing = constant(np.asarray([LOOK], np.float32)), constant(np.zeros(1, np.float32))
        region = append("ADD", [look, nothing], tensor("region", [1, 4]), schema.AddOptionsT())
        graph.outputs = [probabilities, region, similarity]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return {"model.tflite": bytes(builder.Output())}


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
