"""A runtime and a target from another folder: all commands work with them, no file is touched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from edge_fgir._errors import InputError
from edge_fgir.exporting.backends.onnx import OnnxBackend, make_onnx
from edge_fgir.exporting.builders import Builder, forget_builder, register_builder
from edge_fgir.runtime import Bundle, EngineOptions
from edge_fgir.runtime.runtimes import RuntimeSpec, forget_runtime, register_runtime
from edge_fgir.runtime.runtimes.onnxruntime.engine import OnnxRuntimeEngine
from edge_fgir.runtime.targets import forget_target, register_target

pytestmark = pytest.mark.export

TARGET = """
about: a board that nobody sells
runtime: toyrt
machine: toy64
opset: 18
precisions: [int8, fp32]
ops: [Add, AveragePool, Cast, Conv, Gemm, Mul, ReduceMean, Relu, Sub, Transpose, Reshape, Softmax]
deployed_ops: [DequantizeLinear, QuantizeLinear]
crop: matmul
quantization:
  images: 36
  cnn: {S8S8: {tool: qdq, ops: [Conv, Relu, Add], float_first_conv: true}}
  transformer: {S8S8: {tool: qdq, ops: [Conv, Gemm]}}
gates: {max_delta_logit: 1.0e-3, max_top1_drop: 100.0, golden_tolerance: 0.1}
"""


class ToyBackend(OnnxBackend):
    """The model file has a name of its own."""

    model_file = "toy/network.onnx"


class ToyEngine(OnnxRuntimeEngine):
    """Says what it is, and where."""

    def __init__(self, bundle: Bundle, options: EngineOptions) -> None:
        super().__init__(bundle)
        self.description = f"toyrt 7.1 {options.device.upper()}"


def make_toy(model, target, precision, network) -> ToyBackend:
    made = make_onnx(model, target, precision)
    return ToyBackend(made.model, {})


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Register the runtime, its builder and the target; yield the target's file."""
    # As pip would leave the library.
    site = tmp_path / "site"
    info = site / "toyrt-7.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toyrt\nVersion: 7.1\n")
    (site / "toyrt.py").write_text("")
    monkeypatch.syspath_prepend(str(site))
    file = tmp_path / "toyboard" / "target.yaml"
    file.parent.mkdir()
    file.write_text(TARGET)
    register_runtime(
        RuntimeSpec(
            name="toyrt",
            library="toyrt",
            install="run: pip install toyrt",
            devices=("toy", "cpu"),
            open=ToyEngine,
            hardware="Toyboard",
        )
    )
    register_builder(Builder("toyrt", ("qdq",), make_toy))
    register_target(file.parent)
    yield file
    forget_target("toyboard")
    forget_builder("toyrt")
    forget_runtime("toyrt")


def test_every_command_knows_them(
    toy, tiny_run, photos, tmp_path: Path, run_cli, quick_bench
) -> None:
    out, picture = tmp_path / "x.fgir", next(photos.rglob("*.png"))
    done = run_cli("export", tiny_run, "--target", "toyboard", "--data", photos, "--out", out)
    assert done.code == 0, done.err
    manifest = Bundle(out).manifest
    assert (manifest.target, manifest.runtime) == ("toyboard", "toyrt")
    assert manifest.model_file == "toy/network.onnx"
    assert manifest.versions["toyrt"] == "7.1"

    done = run_cli("verify", out)
    assert done.code == 0, done.err
    assert "golden images in toyrt 7.1 TOY" in done.out

    done = run_cli("predict", out, picture, "--device", "cpu", "--json")
    assert done.json[0]["label"] in Bundle(out).labels
    done = run_cli("predict", out, picture, "--device", "trt")
    assert "has no device 'trt'; expected one of auto, toy, cpu" in done.err

    done = run_cli("doctor", "--target", "toyboard")
    assert (done.code, done.out) == (0, "ok      toyboard: toyrt 7.1 (--device auto, toy, cpu)\n")

    latency, accuracy = tmp_path / "bench.json", tmp_path / "eval.json"
    done = run_cli("bench", out, "--seconds", 0.1, "--out", latency)
    assert done.code == 0, done.err
    done = run_cli("eval", out, "--data", photos, "--out", accuracy)
    assert done.code == 0, done.err
    page = tmp_path / "report.html"
    done = run_cli("report", latency, accuracy, "--out", page, "--json")
    assert done.code == 0, done.err
    (row,) = done.json["rows"]
    assert row["engine"].startswith("toyrt 7.1")
    assert row["note"] == ""
    assert "toyboard" in page.read_text()


def test_a_report_says_that_another_runtime_stood_in(toy) -> None:
    from edge_fgir.reporting.rows import replay_note
    from edge_fgir.results import Subject

    subject = Subject.model_construct(target="toyboard", engine="onnxruntime 1.31 CPU")
    assert replay_note(subject) == "replayed in onnxruntime, not measured on a Toyboard"


def test_its_bundle_is_a_stranger_where_it_is_not_registered(toy, tmp_path: Path) -> None:
    from bundles import make_bundle

    path = make_bundle(tmp_path / "x.fgir", target="arm", runtime="toyrt")
    Bundle(path)
    forget_runtime("toyrt")
    with pytest.raises(InputError, match="runtime: 'toyrt' is none of openvino, onnxruntime"):
        Bundle(path)


@pytest.mark.parametrize(
    ("found", "replacement", "message"),
    [
        ("runtime: toyrt", "runtime: torch", "runtime: 'torch' is none of openvino"),
        ("tool: qdq", "tool: nncf", "has an unknown key quantization.cnn.S8S8.nncf.ops"),
        ("{tool: qdq, ops: [Conv, Gemm]}", "{tool: nncf}", "tool nncf is none of qdq, which"),
        ("[int8, fp32]", "[int8]", "precisions: int8 alone; name a float one"),
        ("opset: 18", "opset: old", "opset: Input should be a valid integer"),
        ("about:", "abuot:", "about: Field required"),
        ("gates: {", "gates: [", "is not YAML"),
    ],
)
def test_a_target_that_is_written_wrongly_is_refused_in_one_line(
    toy, found, replacement, message
) -> None:
    from edge_fgir.exporting import read_target

    assert found in TARGET
    toy.write_text(TARGET.replace(found, replacement))
    with pytest.raises(InputError) as caught:
        read_target("toyboard")
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert text.startswith(str(toy))
    assert message in text


def test_a_folder_that_is_no_target_is_not_registered(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"target\.yaml does not exist"):
        register_target(tmp_path)
