"""TensorRT without a Jetson: its API by name, its builder for real, its engine with a stand-in."""

from __future__ import annotations

import ast
import ctypes
import inspect
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bundles import expected_probabilities
from jetson import FakeCuda

from edge_fgir import Classifier, EdgeFgirError, GateError, InputError, _resources
from edge_fgir._yaml import read_yaml
from edge_fgir.runtime import Bundle, open_engine
from edge_fgir.runtime.runtimes.tensorrt import build as tensorrt_build
from edge_fgir.runtime.runtimes.tensorrt import cuda
from edge_fgir.runtime.runtimes.tensorrt import engine as tensorrt_engine
from edge_fgir.runtime.runtimes.tensorrt import plan as tensorrt_plan
from edge_fgir.runtime.runtimes.tensorrt.build import Step, build_plan

pytestmark = pytest.mark.export

cuda_of_ours = cuda.Cuda
NO_BUILDER = "tensorrt-rtx-cu13, the builder of this project, is not installed"


@pytest.fixture(scope="module")
def trt():
    return pytest.importorskip("tensorrt_rtx", reason=NO_BUILDER, exc_type=ImportError)


# The API. Names in our code, and the classes their attributes must belong to.

CLASS_OF = {
    "base": "ILogger",
    "cache": "ITimingCache",
    "runtime": "Runtime",
    "self._engine": "ICudaEngine",
    "self._context": "IExecutionContext",
    "builder": "Builder",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "config": "IBuilderConfig",
    "e": "ParserError",
}
ASSIGNED = {
    "trt.Builder": "builder",
    "trt.OnnxParser": "parser",
    "trt.ILogger": "base",
    "trt.Runtime": "runtime",
    "builder.create_network": "network",
    "builder.create_builder_config": "config",
    "config.create_timing_cache": "cache",
    "runtime.deserialize_cuda_engine": "engine",
    "self._engine.create_execution_context": "self._context",
}


def tree_of(module) -> ast.Module:
    return ast.parse(inspect.getsource(module))


def used(module) -> set[tuple[str, str]]:
    """Return every (TensorRT class or "", dotted attribute) that a module of ours touches."""
    found = set()
    for node in ast.walk(tree_of(module)):
        if not isinstance(node, ast.Attribute):
            continue
        owner, name = ast.unparse(node.value), node.attr
        if owner == "trt":
            found.add(("", name))
        elif owner.startswith("trt."):
            found.add(("", f"{owner.removeprefix('trt.')}.{name}"))
        elif owner in CLASS_OF:
            found.add((CLASS_OF[owner], name))
    return found


USED = sorted(used(tensorrt_engine) | used(tensorrt_build) | used(tensorrt_plan))


def test_the_walk_sees_the_calls():
    assert ("ICudaEngine", "create_execution_context") in USED
    assert ("IExecutionContext", "execute_async_v3") in USED
    assert ("IBuilderConfig", "num_compute_capabilities") in USED
    assert ("IBuilderConfig", "set_timing_cache") in USED
    assert ("ITimingCache", "serialize") in USED
    assert ("ParserError", "desc") in USED
    assert ("", "MemoryPoolType.WORKSPACE") in USED
    assert ("", "Logger.ERROR") in USED
    assert len(USED) >= 28


@pytest.mark.parametrize("module", [tensorrt_engine, tensorrt_build], ids=["engine", "build"])
def test_objects_of_tensorrt_have_the_names_the_walk_knows(module):
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call | ast.Attribute):
            call = node.value.func if isinstance(node.value, ast.Call) else node.value
            if name := ASSIGNED.get(ast.unparse(call)):
                assert ast.unparse(node.targets[0]) == name


@pytest.mark.parametrize(("owner", "name"), USED, ids=lambda value: value or "trt")
def test_tensorrt_has_what_we_use(trt, owner, name):
    place = getattr(trt, owner) if owner else trt
    for part in name.split("."):
        assert hasattr(place, part), f"{owner or 'tensorrt'}.{name}"
        place = getattr(place, part)


@pytest.mark.parametrize(
    ("ours", "theirs"), [("Collector", "ILogger"), ("Monitor", "IProgressMonitor")]
)
def test_what_tensorrt_calls_is_what_it_will_call(trt, ours, theirs):
    (found,) = (
        node
        for node in ast.walk(tree_of(tensorrt_build))
        if isinstance(node, ast.ClassDef) and node.name == ours
    )
    methods = {node.name for node in found.body if isinstance(node, ast.FunctionDef)}
    interface = {name for name in vars(getattr(trt, theirs)) if not name.startswith("_")}
    constants = {name for name in interface if name.isupper()}
    assert methods - {"__init__"} == interface - constants - {"Severity"}


def test_the_devices_we_build_for_are_known(trt):
    target = read_yaml(_resources.folder("export") / "jetson" / "target.yaml")
    capabilities = target["compute_capabilities"]
    assert capabilities
    for name in capabilities:
        assert hasattr(trt.ComputeCapability, name)


def test_cuda_has_what_we_use():
    names = {
        node.attr
        for node in ast.walk(tree_of(cuda))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self._lib"
    }
    assert len(names) == 8
    try:
        library = cuda._load()
    except InputError as error:
        pytest.skip(str(error))
    assert all(hasattr(library, name) for name in names)


# The builder.


def quantized(*, broken: bool = False) -> bytes:
    """A convolution between Q/DQ pairs, as the Jetson target has it."""
    pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    constants = {
        "scale": np.float32(0.02),
        "zero": np.int8(0),
        "weights": random.integers(-127, 128, (8, 3, 3, 3)).astype(np.int8),
        "weight_scale": np.full(8, 0.01, np.float32),
        "weight_zero": np.zeros(8, np.int8),
        "bias": random.normal(size=8).astype(np.float32),
    }
    kernel = "missing" if broken else "kernel"
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["dq"]),
        helper.make_node(
            "DequantizeLinear", ["weights", "weight_scale", "weight_zero"], ["kernel"], axis=0
        ),
        helper.make_node("Conv", ["dq", kernel, "bias"], ["conv"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "quantized",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 16, 16])],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    model: Any = helper.make_model(graph, opset_imports=opset, ir_version=9)
    return model.SerializeToString()


def test_the_builder_takes_a_quantized_graph(trt):
    plan = build_plan(trt, quantized(), workspace_mb=64, compute_capabilities=["SM86"])
    assert isinstance(plan, bytes)
    assert len(plan) > 1000


def test_the_builder_takes_the_graph_of_a_bundle(trt, jetson_bundle):
    onnx = (jetson_bundle / "model.onnx").read_bytes()
    assert build_plan(trt, onnx, workspace_mb=64, compute_capabilities=["SM80", "SM89"])


def test_the_builder_tells_how_far_it_is(trt):
    steps: list[Step] = []
    build_plan(trt, quantized(), compute_capabilities=["SM86"], report=steps.append)
    outer = [step for step in steps if step.parent is None]
    assert outer[0].done == 0
    assert outer[-1].done == outer[-1].total >= 1
    assert all(0 <= step.done <= step.total for step in steps)


@pytest.mark.parametrize(
    ("graph", "stage", "words"),
    [
        (b"garbage", "parse the graph", "Failed to parse the ONNX model"),
        (
            b"\x08\x09",
            "build the graph .workspace 64 MiB.",
            "Network must have at least one output",
        ),
    ],
)
def test_what_is_no_graph_ends_in_tensorrts_own_words(trt, graph, stage, words):
    with pytest.raises(GateError, match=rf"TensorRT .* cannot {stage}: .*{words}") as e:
        build_plan(trt, graph, workspace_mb=64, compute_capabilities=["SM86"])
    assert len(str(e.value).splitlines()) == 1


def test_a_broken_graph_ends_in_tensorrts_own_words(trt):
    with pytest.raises(GateError) as caught:
        build_plan(trt, quantized(broken=True), compute_capabilities=["SM86"])
    text = str(caught.value)
    assert text.startswith(f"TensorRT {trt.__version__} cannot parse the graph: ")
    assert "no reason given" not in text
    assert len(text.split(": ", 1)[1]) > 20
    assert len(text.splitlines()) == 1


# The engine, with a stand-in for library, GPU and plan.


class FakeContext:
    def __init__(self) -> None:
        self.addresses: dict[str, int] = {}

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        FakeCuda.calls.append("execute")
        image = FakeCuda.memory[self.addresses["image"]]
        pixels = np.frombuffer(image, np.uint8).reshape(32, 32, 3)  # type: ignore[call-overload]
        answer = expected_probabilities(pixels, 3)
        ctypes.memmove(self.addresses["probabilities"], answer.ctypes.data, answer.nbytes)
        return True


class FakeEngine:
    def create_execution_context(self) -> FakeContext:
        return FakeContext()


@pytest.fixture
def built(cuda, monkeypatch) -> list[bytes]:
    """Put the stand-ins in place; return the plans that were built, a list that grows."""
    plans: list[bytes] = []

    def build(onnx, workspace_mb, timings, report):
        plans.append(b"plan %d" % len(plans))
        return plans[-1]

    fake = SimpleNamespace(
        __version__="10.3.0",
        Logger=lambda level: level,
        Runtime=lambda logger: SimpleNamespace(deserialize_cuda_engine=lambda plan: FakeEngine()),
    )
    fake.Logger.ERROR = "error"
    monkeypatch.setitem(sys.modules, "tensorrt", fake)
    monkeypatch.setattr(tensorrt_plan, "build_apart", build)
    return plans


def frames(count: int):
    """Frames of different colours, so that their answers differ."""
    noise = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    return noise // np.array([(1, 4, 3), (4, 1, 2), (5, 3, 1)], np.uint8)[:count, None, None]


def test_frames_go_to_the_device_and_answers_come_back(built, jetson_bundle):
    with Classifier.open(jetson_bundle) as model:
        assert model.info["engine"] == "tensorrt 10.3.0 GPU"
        FakeCuda.calls.clear()
        answers = model.infer(frames(3))
        assert FakeCuda.calls == ["to_device", "execute", "to_host", "synchronize"] * 3
        for frame, answer in zip(frames(3), answers, strict=True):
            assert answer == pytest.approx(expected_probabilities(frame, 3))
        assert answers.argmax(axis=1).tolist() == [0, 1, 2]
        turned = frames(1)[0][..., ::-1]
        assert model(turned).probabilities == pytest.approx(expected_probabilities(frames(1), 3))


def test_the_images_of_a_batch_run_one_after_another(built, jetson_bundle):
    answers = open_engine(Bundle(jetson_bundle)).infer(frames(3))
    for frame, answer in zip(frames(3), answers, strict=True):
        assert answer == pytest.approx(expected_probabilities(frame, 3))


def test_closing_frees_the_device_once(built, jetson_bundle):
    with Classifier.open(jetson_bundle) as model:
        assert len(FakeCuda.memory) == 2
        model.close()
        assert FakeCuda.memory == {}


def test_opening_twice_builds_once(built, jetson_bundle):
    for _ in range(2):
        with Classifier.open(jetson_bundle):
            pass
    assert built == [b"plan 0"]


def refusing(monkeypatch, *plans: bytes) -> None:
    def deserialize(plan):
        return None if plan in plans else FakeEngine()

    runtime = SimpleNamespace(deserialize_cuda_engine=deserialize)
    monkeypatch.setattr(sys.modules["tensorrt"], "Runtime", lambda logger: runtime)


def test_an_engine_that_cannot_be_loaded_is_an_error(built, jetson_bundle, monkeypatch):
    refusing(monkeypatch, b"plan 0")
    with pytest.raises(EdgeFgirError, match=r"TensorRT 10\.3\.0 cannot load the engine"):
        Classifier.open(jetson_bundle)
    assert len(built) == 1


def test_a_kept_engine_that_cannot_be_loaded_is_built_again(
    built, jetson_bundle, monkeypatch, capsys
):
    with Classifier.open(jetson_bundle):
        pass
    capsys.readouterr()
    refusing(monkeypatch, b"plan 0")
    with Classifier.open(jetson_bundle) as model:
        assert model.infer(frames(1)).shape == (1, 3)
    assert built == [b"plan 0", b"plan 1"]
    said = capsys.readouterr().err.splitlines()
    assert said[0].endswith(".plan is refused by TensorRT: building the engine again")


def test_a_run_that_fails_is_an_error(built, jetson_bundle, monkeypatch):
    with Classifier.open(jetson_bundle) as model:
        monkeypatch.setattr(FakeContext, "execute_async_v3", lambda self, stream: False)
        with pytest.raises(EdgeFgirError, match="TensorRT could not run the engine"):
            model(frames(1)[0])


def test_without_cuda_it_says_so(built, jetson_bundle, monkeypatch):
    def no_library(name):
        raise OSError(name)

    monkeypatch.setattr(cuda, "Cuda", cuda_of_ours)
    monkeypatch.setattr("ctypes.CDLL", no_library)
    with pytest.raises(InputError, match=r"libcudart.* was not found; expected a Jetson.*doctor"):
        Classifier.open(jetson_bundle)


def test_absent_tensorrt_is_one_line_and_exit_2(run_cli, jetson_bundle, elpv_photos, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    done = run_cli("predict", jetson_bundle, elpv_photos[0])
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: {jetson_bundle} is for target jetson; TensorRT is not ")
    assert len(done.err.splitlines()) == 1
    assert not Path(jetson_bundle / "cache").exists()
