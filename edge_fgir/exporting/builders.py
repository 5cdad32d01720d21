"""Builders: how the export makes what a runtime loads. One a runtime, its twin on this side."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from edge_fgir._errors import EdgeFgirError, GateError, InputError
from edge_fgir.runtime import Calibration, Pixels, Precision, Preprocess
from edge_fgir.runtime.runtimes.openvino import has_bfloat16

if TYPE_CHECKING:
    import onnx

    from edge_fgir.exporting.backends.openvino import OpenVinoBackend
    from edge_fgir.exporting.graph import DeployGraph, Head, Logits
    from edge_fgir.exporting.target import Scheme, Target
    from edge_fgir.exporting.traces import Trace


class Backend(Protocol):
    """A graph on its way to a target; it ends in logits until :meth:`files` adds the rest."""

    model_file: str

    def quantized(
        self, scheme: Scheme, images: Pixels, float_layers: Sequence[str] = ()
    ) -> Backend:
        """Return it as INT8.

        Args:
            scheme: How; of one of the builder's tools.
            images: (N, S, S, 3) that the ranges are measured on.
            float_layers: Names of layers that stay in float.
        """

    def sensitive_layers(self, images: Pixels, wanted: Logits) -> list[str]:
        """Return the quantized layers, the one that costs most first.

        Args:
            images: (N, S, S, 3).
            wanted: (N, K) logits without quantization.
        """

    def run(self, images: Pixels) -> Logits:
        """Return logits (N, K), computed on this machine's CPU."""

    def trace(self, images: Pixels) -> Trace:
        """Return the layers' outputs on the first images."""

    def operations(self) -> Hashable:
        """Return what is computed, without the numbers: what is equal is equally fast."""

    def call(self, image: Pixels) -> Callable[[], object] | None:
        """Return one inference of (1, S, S, 3) to be timed; None where its runtime is not here."""

    def files(self, head: Head, metadata: dict[str, str]) -> dict[str, bytes]:
        """Append the head and return the bundle's model files by path.

        Raises:
            GateError: The target's builder refuses the graph.
        """


_LONGEST = 300
"""Characters that are shown of what a library says."""


@contextmanager
def refusals(what: str) -> Iterator[None]:
    """Turn what a target's library raises while the block runs into an error of one line.

    Args:
        what: That failed, for the user.

    Raises:
        GateError: The library refuses the graph.
    """
    try:
        yield
    except EdgeFgirError:
        raise
    except Exception as error:  # those of OpenVINO, NNCF and ONNX Runtime have no common base
        # OpenVINO's first lines say where in its source the error was raised, the last one why.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[-1][:_LONGEST] if lines else type(error).__name__
        raise GateError(f"{what}: {reason}") from error


Make = Callable[["onnx.ModelProto", "Target", Precision, "DeployGraph | None"], Backend]
Companions = Callable[
    [bytes, Preprocess, tuple[str, ...], Calibration, Precision], dict[str, bytes]
]


@dataclass(frozen=True)
class Builder:
    """What the export knows of a runtime.

    Attributes:
        runtime: Its name in the registry of runtimes.
        tools: The quantization schemes that it takes, by their ``tool``.
        make: Returns the backend of a float32 ONNX graph that ends in logits, or of the same in
            torch, which may be None where the builder does not start from it; ``fp16`` rounds the
            weights, or all of it; INT8 stays float until :meth:`Backend.quantized`.
        has_bfloat16: Says whether the runtime computes in bfloat16 on this machine.
        in_bfloat16: Returns one of its backends with float layers in bfloat16.
        tells_features: Its files give the classifier's input beside the logits.
        computes_half: What is neither INT8 nor asked for in float32 is computed in float16.
        companions: Returns more files, for other programs that read the model file: of the model's
            bytes, preprocessing, labels, calibration and precision. None: there are none.
    """

    runtime: str
    tools: tuple[str, ...]
    make: Make
    has_bfloat16: Callable[[], bool] = lambda: False
    in_bfloat16: Callable[[Any], Backend] = lambda backend: backend
    tells_features: bool = True
    computes_half: bool = False
    companions: Companions | None = None


def _openvino(
    model: onnx.ModelProto, target: Target, precision: Precision, network: DeployGraph | None
) -> Backend:
    from edge_fgir.exporting.backends.openvino import make_openvino

    return make_openvino(model, target, precision)


def _openvino_in_bfloat16(backend: OpenVinoBackend) -> Backend:
    return backend.in_bfloat16()


def _onnx(
    model: onnx.ModelProto, target: Target, precision: Precision, network: DeployGraph | None
) -> Backend:
    from edge_fgir.exporting.backends.onnx import make_onnx

    return make_onnx(model, target, precision)


def _jetson(
    model: onnx.ModelProto, target: Target, precision: Precision, network: DeployGraph | None
) -> Backend:
    from edge_fgir.exporting.backends.jetson import make_jetson

    return make_jetson(model, target, precision)


def _litert(
    model: onnx.ModelProto, target: Target, precision: Precision, network: DeployGraph | None
) -> Backend:
    from edge_fgir.exporting.backends.litert import make_litert

    return make_litert(model, target, precision, network)


def _deepstream(
    model: bytes,
    preprocess: Preprocess,
    labels: tuple[str, ...],
    calibration: Calibration,
    precision: Precision,
) -> dict[str, bytes]:
    from edge_fgir.exporting.deepstream import deepstream_files

    return deepstream_files(model, preprocess, labels, calibration, precision)


_builders = {
    builder.runtime: builder
    for builder in (
        Builder(
            "openvino",
            ("nncf",),
            _openvino,
            has_bfloat16=has_bfloat16,
            in_bfloat16=_openvino_in_bfloat16,
        ),
        Builder("onnxruntime", ("qdq", "dynamic"), _onnx),
        Builder("litert", ("ai-edge-quantizer",), _litert),
        Builder(
            "tensorrt", ("qdq", "dynamic"), _jetson, computes_half=True, companions=_deepstream
        ),
    )
}


def register_builder(builder: Builder) -> None:
    """Add the builder of a runtime, or replace it."""
    _builders[builder.runtime] = builder


def forget_builder(runtime: str) -> None:
    """Undo :func:`register_builder`."""
    _builders.pop(runtime, None)


def find_builder(runtime: str) -> Builder:
    """Return the builder of a runtime.

    Raises:
        InputError: There is none: bundles for it are made elsewhere.
    """
    if runtime not in _builders:
        raise InputError(f"no builder for runtime {runtime!a}", f"one of {', '.join(_builders)}")
    return _builders[runtime]


def make_backend(
    model: onnx.ModelProto,
    target: Target,
    precision: Precision,
    network: DeployGraph | None = None,
) -> Backend:
    """Return the backend of ``target`` for a float32 ONNX graph that ends in logits.

    Args:
        model: The graph.
        target: Where it will run.
        precision: What it will compute in.
        network: What the graph was made of; LiteRT's converter starts from it.
    """
    return find_builder(target.runtime).make(model, target, precision, network)
