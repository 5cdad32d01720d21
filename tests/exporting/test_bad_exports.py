"""Runs, disks and moments that an export must survive: one line, and no part of a bundle."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from interrupts import hears_interrupts
from safetensors.torch import load_file, save_file

from edge_fgir import GateError, InputError
from edge_fgir._errors import EdgeFgirError
from edge_fgir._files import new_folder
from edge_fgir.data import open_data
from edge_fgir.exporting import ExportOptions, export, read_target, source
from edge_fgir.runs import Run
from edge_fgir.runtime import Bundle

pytestmark = pytest.mark.export


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "run"
    shutil.copytree(tiny_run, copy)
    return copy


def test_weights_that_are_not_numbers(run: Path, photos: Path, tmp_path: Path) -> None:
    path = Run(run).weights
    state = load_file(path)
    name = next(name for name, value in state.items() if value.is_floating_point())
    save_file({**state, name: torch.full_like(state[name], float("nan"))}, path)
    with pytest.raises(InputError, match=r"the weights of .*run are not finite: \S+"):
        export(run, read_target("arm"), open_data(str(photos)), tmp_path / "x.fgir")
    assert not (tmp_path / "x.fgir").exists()


def test_labels_that_are_not_the_models(run: Path, photos: Path, tmp_path: Path) -> None:
    (run / "labels.txt").write_text("green_leaf\nred_leaf\n")
    with pytest.raises(InputError, match=r"labels\.txt has 2 labels; expected 3"):
        export(run, read_target("arm"), open_data(str(photos)), tmp_path / "x.fgir")


def test_more_weights_than_a_file_holds(
    run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_MOST_BYTES", 1_000_000)
    with pytest.raises(InputError, match="less than 2 GB, which is all that an ONNX file can hold"):
        export(run, read_target("arm"), open_data(str(photos)), tmp_path / "x.fgir")


def test_a_gate_names_the_layer_at_which_the_numbers_part(
    run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A simplifier that turns a layer's weights round is caught, and so is where."""
    import onnx
    import onnxslim

    from edge_fgir.exporting import graph

    def wrong(model: onnx.ModelProto) -> onnx.ModelProto:
        slim = original(model)
        convolutions = [node for node in slim.graph.node if node.op_type == "Conv"]
        tensors = {tensor.name: tensor for tensor in slim.graph.initializer}
        tensor = tensors[convolutions[7].input[1]]
        array = onnx.numpy_helper.to_array(tensor)
        tensor.CopyFrom(onnx.numpy_helper.from_array(-array, tensor.name))
        return slim

    original = onnxslim.slim
    monkeypatch.setattr(graph.onnxslim, "slim", wrong)  # type: ignore[attr-defined]
    with pytest.raises(GateError, match=r"gate 'onnx' failed .*part first at layer stages\.\S+ \("):
        export(
            run,
            read_target("arm"),
            open_data(str(photos)),
            tmp_path / "x.fgir",
            ExportOptions(precision="fp32"),
        )
    assert not (tmp_path / "x.fgir").exists()


COMMAND = (sys.executable, "-m", "edge_fgir", "export")
_LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
from edge_fgir.cli import main
main(sys.argv[1:])
"""


def arguments(run: Path, photos: Path, out: Path) -> list[str]:
    return [str(run), "--target", "arm", "--data", str(photos), "--out", str(out)]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def test_a_full_disk_leaves_nothing_behind(run: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "x.fgir"
    command = [sys.executable, "-c", _LIMITED, "export", *arguments(run, photos, out)]
    done = subprocess.run(
        [*command, "--precision", "fp32"], capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert last.endswith("model.onnx: File too large")
    assert "Traceback" not in done.stderr
    assert not any(path.is_file() for path in tmp_path.glob("out/**/*"))


def stopped(command: list[str], at: str, kind: signal.Signals) -> int:
    """Send a signal to a command once it has printed ``at``; return its exit code."""
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
        preexec_fn=hears_interrupts,
    ) as process:
        assert process.stdout is not None
        while at not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(kind)
        process.stdout.read()
    return process.returncode


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_export_leaves_the_earlier_bundle(
    kind: signal.Signals,
    run: Path,
    photos: Path,
    tmp_path: Path,
    tiny_export: Callable[[str, str], Path],
) -> None:
    out = tmp_path / "x.fgir"
    shutil.copytree(tiny_export("arm", "fp32"), out)
    command = [*COMMAND, *arguments(run, photos, out), "--precision", "fp32"]
    before = (out / "manifest.json").read_bytes()
    assert stopped(command, "gate onnx", kind) == (130 if kind is signal.SIGINT else -kind)
    assert (out / "manifest.json").read_bytes() == before
    assert all(check.ok for check in Bundle(out).check_files())


_SLOW = """
import sys, time
from edge_fgir.exporting import writer
from edge_fgir.cli import main
seal = writer.seal
def slow(*arguments):
    manifest = seal(*arguments)
    print("sealed", flush=True)
    time.sleep(60)
    return manifest
writer.seal = slow
main(sys.argv[1:])
"""


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_an_export_that_is_interrupted_while_it_writes_leaves_no_bundle(
    kind: signal.Signals, run: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "x.fgir"
    command = [sys.executable, "-c", _SLOW, "export", *arguments(run, photos, out)]
    stopped([*command, "--precision", "fp32"], "sealed", kind)
    assert not out.exists()
    left = [path.name for path in out.parent.iterdir()]
    assert len(left) == (0 if kind is signal.SIGINT else 1)
    assert all(name.startswith(".x.fgir.") for name in left)
    with new_folder(out, replaces="manifest.json"):
        assert len(list(out.parent.iterdir())) == 1  # its own draft
    assert [path.name for path in out.parent.iterdir()] == ["x.fgir"]


def test_a_full_temporary_folder_is_named(
    run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import openvino as ov

    def full(*arguments: object, **options: object) -> None:
        raise RuntimeError("Check failed at somewhere\nbasic_ios::clear: iostream error")

    monkeypatch.setattr(ov, "save_model", full)
    with pytest.raises(EdgeFgirError, match=r"cannot write to .*iostream error; .*set TMPDIR"):
        export(
            run,
            read_target("openvino"),
            open_data(str(photos)),
            tmp_path / "x.fgir",
            ExportOptions(precision="fp32"),
        )
    assert not (tmp_path / "x.fgir").exists()
