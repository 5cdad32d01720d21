"""ONNX for TensorRT on a Jetson: INT8 beside float16, accepted by NVIDIA's builder here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec

import onnx

from edge_fgir._errors import MissingExtraError
from edge_fgir.exporting import graph, qdq
from edge_fgir.exporting.backends.onnx import OnnxBackend, quantize
from edge_fgir.exporting.graph import Head, Logits
from edge_fgir.exporting.target import Scheme, Target
from edge_fgir.exporting.traces import Trace, modules_of, trace_onnx
from edge_fgir.runtime import Pixels, Precision
from edge_fgir.runtime.runtimes.tensorrt.build import build_plan


class JetsonBackend(OnnxBackend):
    """ONNX that TensorRT builds on the device; here its builder must accept it.

    INT8 graphs are float16 elsewhere. ONNX Runtime replays them without its graph optimiser, which
    breaks Q/DQ in float16: an LRNet-14 kept 88 % of its labels with it and 99 % without.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        names: Mapping[str, str],
        capabilities: Sequence[str],
        unquantized: Sequence[str] = (),
        precise: Sequence[str] = (),
    ) -> None:
        super().__init__(model, names, unquantized)
        self._capabilities, self._precise = capabilities, precise

    def quantized(
        self, scheme: Scheme, images: Pixels, float_layers: Sequence[str] = ()
    ) -> JetsonBackend:
        """Quantize with ONNX Runtime's quantizer; float16 elsewhere."""
        floats = (*self._unquantized, *float_layers)
        model = qdq.to_float16(quantize(self._observer, scheme, images, floats), self._precise)
        return JetsonBackend(model, self._names, self._capabilities)

    def sensitive_layers(self, images: Pixels, wanted: Logits) -> list[str]:
        """Return the nodes whose inputs are quantized, the costliest first."""
        return qdq.sensitive_layers(self.model, images, wanted, optimized=False)

    def run(self, images: Pixels) -> Logits:
        """Replay in ONNX Runtime."""
        return graph.run_onnx(self.model, images, optimized=False)

    def trace(self, images: Pixels) -> Trace:
        """Replay in ONNX Runtime with all layers open."""
        return trace_onnx(self.model, self._names, images, optimized=False)

    def call(self, image: Pixels) -> None:
        """Return None: TensorRT is not here."""
        return

    def files(self, head: Head, metadata: dict[str, str]) -> dict[str, bytes]:
        """Return ``model.onnx`` and how to build it, after the builder has accepted it."""
        if find_spec("tensorrt_rtx") is None:
            raise MissingExtraError("tensorrt-rtx-cu13", "export", "checking Jetson graphs")
        import tensorrt_rtx

        files = super().files(head, metadata)
        plan = build_plan(
            tensorrt_rtx, files[self.model_file], compute_capabilities=self._capabilities
        )
        build = {
            "workspace_mb": 1024,
            "strongly_typed": True,
            "accepted_by": {
                "builder": f"TensorRT-RTX {tensorrt_rtx.__version__}",
                "compute_capabilities": list(self._capabilities),
                "plan_bytes": len(plan),
            },
        }
        return {**files, "tensorrt/build.json": json.dumps(build, indent=2).encode()}


def make_jetson(model: onnx.ModelProto, target: Target, precision: Precision) -> JetsonBackend:
    """Return the backend of a float32 graph; ``fp16`` computes in float16."""
    precise = graph.float_nodes(model)
    form = qdq.to_float16(model, precise) if precision == "fp16" else model
    return JetsonBackend(
        form,
        modules_of(model),
        target.compute_capabilities,
        graph.unquantized_nodes(model),
        precise,
    )
