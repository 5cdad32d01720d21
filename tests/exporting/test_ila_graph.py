"""Adapters as a graph and in low precision: arXiv 2409.11051, docs/science/ila.md#low-precision."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import timm
import torch
from runs import RECIPE, fitted
from safetensors.torch import save_file
from shared import Shared
from stirred import stir
from targets import loosened

from edge_fgir import GateError
from edge_fgir.data import open_data
from edge_fgir.exporting import ExportOptions, export, residual
from edge_fgir.exporting.builders import make_backend
from edge_fgir.exporting.graph import MODULE, check_ops, run_onnx, to_onnx
from edge_fgir.exporting.openvino_ir import run_ir, to_ir
from edge_fgir.exporting.qdq import to_float16
from edge_fgir.exporting.residual import residual_report
from edge_fgir.exporting.target import read_target, target_names
from edge_fgir.models import Network
from edge_fgir.models.folding import folded
from edge_fgir.models.ila import AdaptedViT, Adapters, residual_ranges
from edge_fgir.models.inference import logits_of
from edge_fgir.runtime.manifest import Normalization
from edge_fgir.runtime.runtimes.tensorrt.build import build_plan

pytestmark = pytest.mark.export

NORMALIZATION = Normalization(mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
VIT = "vit_tiny_patch16_224"
SMALL = {"depth": 3, "embed_dim": 48}
SIZE = 96


def adapted(variant: str, name: str = VIT, size: int = SIZE, **options: Any) -> AdaptedViT:
    torch.manual_seed(0)
    if name == VIT:
        options = {**SMALL, **options}
    model = Network(name=name, options=options, adapters=Adapters(variant=variant)).build(5, size)
    assert isinstance(model, AdaptedViT)
    stir(model)
    torch.nn.init.normal_(model.backbone.head.weight)
    return model.eval()


def pictures(size: int = SIZE, count: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def kinds(graph: onnx.ModelProto) -> set[str]:
    return {node.op_type for node in graph.graph.node}


def close(found: np.ndarray, expected: np.ndarray) -> None:
    assert np.abs(found - expected).max() < 1e-4 * max(np.abs(expected).max(), 1)


@pytest.mark.parametrize(
    ("variant", "name", "options", "target"),
    [
        *(("ila++", VIT, {}, target) for target in target_names()),
        ("none", VIT, {}, "openvino"),
        ("ila", VIT, {}, "arm"),
        ("ila+", VIT, {"reg_tokens": 4}, "jetson"),
        ("ila", VIT, {"class_token": False, "global_pool": "avg"}, "openvino"),
        ("ila++", "vitfs_nano", {}, "arm"),
    ],
)
def test_every_variant_exports_for_every_target(
    variant: str, name: str, options: dict[str, Any], target: str
) -> None:
    model = adapted(variant, name, **options)
    expected = logits_of(model, pictures(), NORMALIZATION, "torch")
    rules = read_target(target)
    graph = to_onnx(folded(model), NORMALIZATION, SIZE, rules.opset)
    check_ops(graph, rules.ops, target)
    assert "BatchNormalization" not in kinds(graph)
    close(run_onnx(graph, pictures()), expected)
    close(run_ir(to_ir(graph), pictures()), expected)


@pytest.mark.slow
@pytest.mark.parametrize("size", [224, 448])
def test_it_exports_at_the_papers_sizes(size: int) -> None:
    model = adapted("ila++", size=size)
    expected = logits_of(model, pictures(size, 2), NORMALIZATION, "torch")
    graph = to_onnx(folded(model), NORMALIZATION, size, 17)
    assert next(o.version for o in graph.opset_import if not o.domain) == 17
    assert "BatchNormalization" not in kinds(graph)
    assert "LayerNormalization" in kinds(graph)
    close(run_onnx(graph, pictures(size, 2)), expected)
    inferred = onnx.shape_inference.infer_shapes(graph, strict_mode=True).graph
    for value in inferred.value_info:
        assert all(d.HasField("dim_value") for d in value.type.tensor_type.shape.dim), value.name


def adapters_of(graph: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Return the nodes between and inside blocks that adapters have added."""
    return [
        node
        for node in graph.graph.node
        for entry in node.metadata_props
        if entry.key == MODULE and entry.value.startswith(("between.", "inside."))
    ]


@pytest.mark.parametrize("target", ["arm", "jetson"])
@pytest.mark.parametrize("variant", ["ila", "ila++"])
def test_adapters_and_stream_stay_in_float_in_onnx(variant: str, target: str) -> None:
    rules = read_target(target)
    graph = to_onnx(folded(adapted(variant)), NORMALIZATION, SIZE, rules.opset)
    names = {node.name for node in adapters_of(graph)}
    assert len(names) > 10
    sums = {node.name for node in graph.graph.node if node.op_type == "Add"}
    for scheme in rules.quantization.transformer.values():
        form: Any = make_backend(graph, rules, "int8").quantized(scheme, pictures())
        made = {out: node for node in form.model.graph.node for out in node.output}
        quantized = {
            node.name
            for node in form.model.graph.node
            if any(name in made and made[name].op_type == "DequantizeLinear" for name in node.input)
        } | {n.name for n in form.model.graph.node if "Integer" in n.op_type}
        assert quantized
        assert not quantized & names
        assert not quantized & sums


@pytest.mark.slow
def test_adapters_and_stream_stay_in_float_in_openvino() -> None:
    rules = read_target("openvino")
    graph = to_onnx(folded(adapted("ila++")), NORMALIZATION, SIZE, rules.opset)
    values = {out for node in adapters_of(graph) for out in node.output}
    plain, *_, most = rules.quantization.transformer.values()
    for scheme in (plain, most):
        form: Any = make_backend(graph, rules, "int8").quantized(scheme, pictures())
        model = form.model
        quantized = [
            operation
            for operation in model.get_ordered_ops()
            if any(
                port.get_source_output().get_node().get_type_name() == "FakeQuantize"
                for port in operation.inputs()
            )
        ]
        assert quantized
        for operation in quantized:
            outputs = {name for out in operation.outputs() for name in out.get_names()}
            assert not outputs & values, operation.get_friendly_name()
            assert operation.get_type_name() != "Add"


def test_norms_sum_up_in_float32_where_the_rest_is_float16() -> None:
    """Sums of squares of a stream that has grown would overflow float16."""
    model = adapted("ila")
    rules = read_target("jetson")
    graph = to_onnx(folded(model), NORMALIZATION, SIZE, rules.opset)
    expected = logits_of(model, pictures(), NORMALIZATION, "torch")
    half: Any = make_backend(graph, rules, "fp16")
    assert np.abs(half.run(pictures()) - expected).max() < 0.02 * np.abs(expected).max()
    norms = [n for n in half.model.graph.node if n.op_type == "LayerNormalization"]
    assert norms
    for node in norms:
        assert all(a.i == onnx.TensorProto.FLOAT for a in node.attribute if a.name == "stash_type")


def test_a_stream_that_float16_does_not_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = adapted("ila")
    ranges = residual_ranges(model, pictures(), NORMALIZATION)
    arguments = (model, pictures(), NORMALIZATION)
    report = residual_report(*arguments, read_target("jetson"), "int8")
    assert report is not None
    assert report.blocks == tuple(ranges)
    assert report.largest == max(one.largest for one in ranges)
    monkeypatch.setattr(residual, "MOST_HALF", report.largest / 2)
    with pytest.raises(GateError, match=r"--precision fp32, or train with .*residual mean"):
        residual_report(*arguments, read_target("jetson"), "auto")
    residual_report(*arguments, read_target("jetson"), "fp32")
    residual_report(*arguments, read_target("arm"), "int8")
    assert (
        residual_report(model.backbone, pictures(), NORMALIZATION, read_target("arm"), "") is None
    )


@pytest.fixture(scope="module")
def run(photos: Path, shared: Shared) -> Path:
    """A finished run: ILA on a frozen ViT of random weights."""

    def fill(folder: Path) -> None:
        folder.mkdir()
        torch.manual_seed(0)
        save_file(
            timm.create_model(VIT, img_size=SIZE, **SMALL).state_dict(), folder / "w.safetensors"
        )

    base = shared.folder("ila-base", fill) / "w.safetensors"
    return fitted(
        shared,
        "ila",
        photos,
        epochs=3,
        model={
            "name": VIT,
            "options": SMALL,
            "weights": str(base),
            "adapters": {"variant": "ila"},
        },
        data={**RECIPE["data"], "view_size": SIZE},
        eval={"image_size": SIZE, "every_epochs": 3},
    )


@pytest.mark.slow
@pytest.mark.parametrize("target", ["arm", "openvino"])
def test_a_run_becomes_an_int8_bundle(
    target: str, run: Path, photos: Path, tmp_path: Path, run_cli: Callable
) -> None:
    bundle = tmp_path / "x.fgir"
    export(
        run,
        loosened(target, schemes=1),
        open_data(str(photos)),
        bundle,
        ExportOptions(precision="int8"),
    )
    report = json.loads((bundle / "reports" / "residual.json").read_text())
    assert [block["tokens"] for block in report["blocks"]] == [17, 5, 5]
    answer = run_cli("eval", bundle, "--data", photos, "--json").json
    torch_answer = run_cli("eval", run, "--data", photos, "--json").json
    assert answer["top1"] == pytest.approx(torch_answer["top1"], abs=15)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["ila", "ila+", "ila++"])
def test_tensorrt_builds_it(variant: str) -> None:
    tensorrt_rtx = pytest.importorskip("tensorrt_rtx", reason="the builder has no wheel here")
    target = read_target("jetson")
    graph = to_onnx(folded(adapted(variant)), NORMALIZATION, SIZE, target.opset)
    backend: Any = make_backend(graph, target, "int8")
    schemes = target.quantization.transformer.values()
    forms = [to_float16(graph), *(backend.quantized(s, pictures()).model for s in schemes)]
    for form in forms:
        plan = build_plan(
            tensorrt_rtx, form.SerializeToString(), compute_capabilities=target.compute_capabilities
        )
        assert len(plan) > 100_000
