"""ONNX Runtime's sessions: how they are opened."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import pytest

from edge_fgir.runtime import Bundle, cores, open_engine
from edge_fgir.runtime.runtimes.onnxruntime import open_session
from edge_fgir.runtime.runtimes.onnxruntime import session as sessions

pytestmark = pytest.mark.export


def test_threads_do_not_spin_between_calls(arm_bundle: Path) -> None:
    """Those of one session would take the processor from whatever runs next."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("scipy")

    from edge_fgir.exporting.graph import session_of

    bundle = Bundle(arm_bundle)
    engine = open_engine(bundle)
    checker = session_of(onnx.load_model_from_string(bundle.read(bundle.manifest.model_file)))
    for session in (engine._session, checker):  # type: ignore[attr-defined]
        options = session.get_session_options()
        assert options.get_session_config_entry("session.force_spinning_stop") == "1"


@pytest.mark.parametrize("clips", [True, False])
def test_a_bundle_is_converted_only_where_int8_sums_are_clipped(
    arm_bundle: Path, monkeypatch: pytest.MonkeyPatch, clips: bool
) -> None:
    """On x86 without VNNI, sums are else clipped to 16 bits, which no ARM kernel does."""
    monkeypatch.setattr(sessions, "clips_int8_sums", lambda: clips)
    options = open_engine(Bundle(arm_bundle))._session.get_session_options()  # type: ignore[attr-defined]
    if clips:
        assert options.get_session_config_entry("session.x64quantprecision") == "1"
    else:
        with pytest.raises(RuntimeError, match="does not have configuration"):
            options.get_session_config_entry("session.x64quantprecision")


@pytest.mark.skipif(cores.clips_int8_sums(), reason="this processor clips sums")
def test_int8_sums_are_exact_without_conversion() -> None:
    """Two products of the largest bytes do not fit into 16 bits."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    dice = np.random.default_rng(0)
    left = dice.integers(200, 256, (4, 64), dtype=np.uint8)
    weights = dice.integers(100, 128, (64, 8), dtype=np.int8)
    constants = {"weights": weights, "zero": np.uint8(0), "none": np.int8(0)}
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["left", "weights", "zero", "none"], ["sums"])],
        "sums",
        [helper.make_tensor_value_info("left", TensorProto.UINT8, left.shape)],
        [helper.make_tensor_value_info("sums", TensorProto.INT32, [4, 8])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    (sums,) = open_session(model.SerializeToString(), exact=True).run(None, {"left": left})
    assert np.array_equal(sums, left.astype(np.int32) @ weights.astype(np.int32))


@pytest.mark.unit
@pytest.mark.parametrize(
    ("machine", "flags", "clips"),
    [
        ("x86_64", "fpu avx2 fma", True),
        ("x86_64", "fpu avx512f avx512_vnni", False),
        ("AMD64", "fpu avx2 avx_vnni", False),
        ("x86_64", None, True),
        ("aarch64", "fp asimd", False),
    ],
)
def test_which_processors_clip(
    monkeypatch: pytest.MonkeyPatch, machine: str, flags: str | None, clips: bool
) -> None:
    def told(path: Path, **_: object) -> str:
        if flags is None:
            raise FileNotFoundError(path)
        return f"processor\t: 0\nflags\t\t: {flags}\n"

    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(Path, "read_text", told)
    assert cores.clips_int8_sums.__wrapped__() == clips
