import json
import shutil
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from bfloat16 import take_bfloat16_away
from targets import exported, exported_targets, loosened

from edge_fgir import Classifier, GateError, InputError
from edge_fgir.data import open_data
from edge_fgir.exporting import ExportOptions, export, read_target, target_names
from edge_fgir.models.inference import logits_of
from edge_fgir.runs import Run
from edge_fgir.runtime import Bundle, Device, check_out, is_bfloat16, verify
from edge_fgir.runtime.runtimes.openvino import has_bfloat16, openvino_core

pytestmark = pytest.mark.export


def device_of(target: str) -> Device:
    return "cpu" if target == "jetson" else "auto"


@pytest.mark.parametrize(
    ("target", "precision"),
    [
        exported(name, precision)
        for name in target_names()
        for precision in read_target(name).precisions
        if not is_bfloat16(precision) or has_bfloat16()
    ],
)
def test_every_target_and_precision_answers_as_torch_does(
    tiny_export: Callable, tiny_run: Path, photos: Path, target: str, precision: str
) -> None:
    path = tiny_export(target, precision)
    assert all(check.ok for check in verify(path))
    manifest = Bundle(path).manifest
    assert (manifest.target, manifest.precision) == (target, precision)
    opened = Run.open(tiny_run)
    trained, model = opened.description, opened.load()
    with Classifier.open(path, device=device_of(target)) as classifier:
        files = sorted((photos / "test").rglob("*.png"))
        prepared = np.stack([classifier.prepare(file) for file in files])
        expected = logits_of(model, prepared, trained.normalization, "torch").argmax(1)
        found = np.asarray([classifier(file).index for file in files])
    bound = {"fp16": 0.97, "fp32": 1.0}.get(precision, 0.85)
    assert (found == expected).mean() >= bound


def test_int8_beside_bfloat16_is_compared_with_float32(
    tiny_run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What views are compared with stands for torch, so it does not compute in bfloat16."""

    class AskedError(Exception):
        """The search would begin."""

    def search(**fields: Any) -> None:
        raise AskedError([fields[name]._bfloat16 for name in ("float32", "base", "fallback")])

    module = import_module("edge_fgir.exporting.export")
    monkeypatch.setattr(module, "Search", search)
    # Whether this processor has bfloat16 is not asked.
    monkeypatch.setattr(module, "check_precision", lambda target, precision: None)
    options = ExportOptions(precision="int8-bf16")
    target, data = loosened("openvino"), open_data(str(photos))
    with pytest.raises(AskedError) as asked:
        export(tiny_run, target, data, tmp_path / "x.fgir", options)
    assert asked.value.args == ([False, True, False],)


@pytest.mark.parametrize("precision", ["bf16", "int8-bf16"])
def test_what_this_processor_cannot_judge_is_refused(
    photos: Path, tiny_run: Path, tmp_path: Path, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_bfloat16_away(monkeypatch)
    with pytest.raises(InputError, match=f"--precision {precision}: this processor has no bf"):
        export(
            tiny_run,
            loosened("openvino"),
            open_data(str(photos)),
            tmp_path / "x.fgir",
            ExportOptions(precision=precision),
        )


@pytest.mark.parametrize("target", exported_targets())
def test_int8_is_int8(tiny_export: Callable, target: str) -> None:
    small, large = (Bundle(tiny_export(target, p)).model_size for p in ("int8", "fp32"))
    assert small < 0.3 * large


def test_jetson_graph_follows_tensorrts_rules(tiny_export: Callable) -> None:
    bundle = Bundle(tiny_export("jetson", "int8"))
    graph = onnx.load_from_string(bundle.read("model.onnx")).graph
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    quantizers = [n for n in graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert len(quantizers) > 30
    for node in quantizers:
        zero = weights[node.input[2]] if len(node.input) > 2 else np.int8(0)
        assert np.asarray(zero).dtype == np.int8
        assert not np.any(zero)
    convs = [n for n in graph.node if n.op_type == "Conv"]
    assert all(weights[n.input[2]].dtype == np.float16 for n in convs)  # biases are not quantized
    accepted = json.loads(bundle.read("tensorrt/build.json"))["accepted_by"]
    assert accepted["builder"].startswith("TensorRT-RTX")
    assert accepted["plan_bytes"] > 1e6


def test_a_graph_the_jetson_builder_refuses_gives_no_bundle(
    photos: Path, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_fgir.exporting import graph

    def broken(*arguments: object) -> onnx.ModelProto:
        model = original(*arguments)
        model.graph.node[-1].op_type = "NoSuchOperator"
        return model

    original = graph.with_head
    monkeypatch.setattr(graph, "with_head", broken)
    with pytest.raises(GateError, match=r"TensorRT .* cannot parse the graph: NoSuchOperator"):
        export(
            tiny_run,
            loosened("jetson"),
            open_data(str(photos)),
            tmp_path / "x.fgir",
            ExportOptions(precision="fp32"),
        )
    assert not list(tmp_path.iterdir())


def test_a_failed_gate_leaves_an_earlier_bundle_alone(
    tiny_export: Callable, photos: Path, tiny_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x.fgir"
    shutil.copytree(tiny_export("arm", "int8"), out)
    before = (out / "manifest.json").read_bytes()
    with pytest.raises(GateError, match="no bundle was written"):
        export(tiny_run, loosened("arm", max_delta_logit=1e-12), open_data(str(photos)), out)
    assert (out / "manifest.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["x.fgir"]


WEB_APP = '{"name": "my web app", "start_url": "/"}'


@pytest.mark.parametrize("manifest", [None, WEB_APP, '["edge-fgir/bundle/1"]', "no JSON"])
@pytest.mark.parametrize("as_zip", [False, True])
def test_what_carries_no_manifest_of_ours_is_never_replaced(
    as_zip: bool, manifest: str | None, photos: Path, tiny_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    if manifest is not None:
        (out / "manifest.json").write_text(manifest)
    if as_zip:
        out = Path(shutil.make_archive(str(tmp_path / "thesis"), "zip", out))
    with pytest.raises(InputError, match=r"is not a bundle (zip|folder); .* choose another --out"):
        export(tiny_run, loosened("arm"), open_data(str(photos)), out, ExportOptions(as_zip=as_zip))
    assert out.is_file() if as_zip else (out / "thesis.txt").exists()
    with pytest.raises(InputError, match="is not a bundle folder"):
        check_out(tmp_path / "thesis", as_zip=False)


@pytest.mark.parametrize("as_zip", [False, True])
def test_a_bundle_of_any_version_may_be_replaced(as_zip: bool, tmp_path: Path) -> None:
    out = tmp_path / "x.fgir"
    out.mkdir()
    (out / "manifest.json").write_text('{"schema": "edge-fgir/bundle/7"}')
    if as_zip:
        out = Path(shutil.make_archive(str(out), "zip", out))
    check_out(out, as_zip=as_zip)


def test_zip_holds_the_same_bundle(
    tiny_export: Callable, photos: Path, tiny_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x.fgir"
    # Not INT8: which of its schemes is fastest is no certain thing.
    data, target = open_data(str(photos)), loosened("openvino")
    export(tiny_run, target, data, out, ExportOptions(precision="fp32", as_zip=True))
    assert zipfile.is_zipfile(out)
    assert all(check.ok for check in verify(out))
    picture = next((photos / "test").rglob("*.png"))
    with Classifier.open(out) as zipped, Classifier.open(tiny_export("openvino", "fp32")) as folder:
        assert np.allclose(zipped(picture).probabilities, folder(picture).probabilities, atol=1e-6)


def test_reports_and_calibration_are_inside(tiny_export: Callable) -> None:
    bundle = Bundle(tiny_export("arm", "int8"))
    stages = [stage["name"] for stage in bundle.report("parity")["stages"]]
    assert stages == ["folded", "onnx", "int8", "bundle"]
    tried = bundle.report("quantization")
    assert [trial["precision"] for trial in tried["trials"]] == ["fp32", "int8", "int8"]
    assert tried["chosen"] in [trial["name"] for trial in tried["trials"][1:]]
    assert bundle.report("accuracy")["split"] == "val"
    assert bundle.calibration.quantization_images == 36
    assert 8 <= len(bundle.golden.images) <= 16


def test_model_api_finds_its_metadata(tiny_export: Callable) -> None:
    bundle = Bundle(tiny_export("openvino", "int8"))
    model = openvino_core().read_model(
        bundle.read("openvino/model.xml"), bundle.read("openvino/model.bin")
    )
    assert model.get_rt_info(["model_info", "model_type"]).value == "Classification"
    assert model.get_rt_info(["model_info", "labels"]).value == "green_leaf red_leaf striped_leaf"
    graph = onnx.load_from_string(Bundle(tiny_export("arm", "int8")).read("model.onnx"))
    found = {entry.key: entry.value for entry in graph.metadata_props}
    assert found["model_info labels"] == "green_leaf red_leaf striped_leaf"
    assert found["model_info mean_values"] == "0 0 0"


def test_a_target_can_allow_more() -> None:
    target = read_target("openvino")
    assert target.gates.max_top1_drop == 0.2
    assert target.allowing(1.5).gates == target.gates.model_copy(update={"max_top1_drop": 1.5})


def test_other_data_and_unknown_targets_are_refused(
    tiny_run: Path, tmp_path: Path, make_folder: Callable[..., Path]
) -> None:
    other = make_folder(tmp_path / "other", classes=("a", "b"))
    with pytest.raises(InputError, match=r"other classes .*it knows 3, .* 'a' is new to it"):
        export(tiny_run, loosened("arm"), open_data(str(other)), tmp_path / "x.fgir")
    with pytest.raises(InputError, match=r"unknown target 'jetsn'.*did you mean jetson"):
        read_target("jetsn")
    with pytest.raises(InputError, match=r"--precision fp16 is not offered for target arm"):
        export(
            tiny_run,
            loosened("arm"),
            open_data(str(other)),
            tmp_path / "x",
            ExportOptions(precision="fp16"),
        )
