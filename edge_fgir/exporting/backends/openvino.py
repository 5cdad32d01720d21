"""OpenVINO's IR, quantized by NNCF."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import onnx

from edge_fgir.exporting import openvino_ir as ir
from edge_fgir.exporting.activations import Observer
from edge_fgir.exporting.bias_correction import with_corrected_biases
from edge_fgir.exporting.graph import (
    Head,
    Logits,
    first_convolution,
    linear_convolutions,
    unquantized_nodes,
)
from edge_fgir.exporting.target import NncfScheme, Scheme, Target
from edge_fgir.exporting.traces import Trace, modules_of, trace_ir
from edge_fgir.runtime import Pixels, Precision, is_bfloat16
from edge_fgir.runtime.runtimes.openvino import compile_model


class OpenVinoBackend:
    """OpenVINO IR."""

    model_file = "openvino/model.xml"

    def __init__(
        self,
        model: Any,
        names: Mapping[str, str],
        unquantized: Sequence[str] = (),
        *,
        source: Observer | None = None,
        half: bool = False,
        bfloat16: bool = False,
    ) -> None:
        self.model, self._names, self._unquantized = model, names, unquantized
        self._source = source
        self._half, self._bfloat16 = half, bfloat16

    def quantized(
        self, scheme: Scheme, images: Pixels, float_layers: Sequence[str] = ()
    ) -> OpenVinoBackend:
        """Quantize with NNCF."""
        assert isinstance(scheme, NncfScheme)  # a target names no other tool
        floats = (*self._unquantized, *float_layers)
        form = self.model
        if scheme.corrected_biases and self._source is not None:
            kept = {name.removesuffix(ir.WITHOUT_BIAS) for name in floats}
            kept.update(linear_convolutions(self._source.model))
            if scheme.float_first_conv:
                kept.update(first_convolution(self._source.model))
            form = ir.to_ir(with_corrected_biases(self._source, images, kept, unclipped=True))
        model = ir.quantize_ir(form, images, scheme, floats)
        return OpenVinoBackend(model, self._names, bfloat16=self._bfloat16)

    def in_bfloat16(self) -> OpenVinoBackend:
        """Return the same network with float layers in bfloat16, which is kept as float16."""
        half = not ir.is_quantized(self.model)
        form = ir.to_half_ir(self.model) if half else self.model
        return OpenVinoBackend(form, self._names, self._unquantized, half=half, bfloat16=True)

    def sensitive_layers(self, images: Pixels, wanted: Logits) -> list[str]:
        """Return the operations whose inputs are quantized, the costliest first."""
        return ir.sensitive_operations(self.model, images, wanted, bfloat16=self._bfloat16)

    def run(self, images: Pixels) -> Logits:
        """Run in OpenVINO."""
        return ir.run_ir(self.model, images, bfloat16=self._bfloat16)

    def trace(self, images: Pixels) -> Trace:
        """Run in OpenVINO with all layers open."""
        return trace_ir(self.model, self._names, images, bfloat16=self._bfloat16)

    def operations(self) -> Hashable:
        """Return kind, type and shape of the operations' outputs."""
        return ir.operations_in(self.model)

    def call(self, image: Pixels) -> Callable[[], object]:
        """Return one inference in OpenVINO."""
        compiled = compile_model(self.model, bfloat16=self._bfloat16)
        request = compiled.create_infer_request()
        request.get_input_tensor(0).data[...] = image
        inference: Callable[[], object] = request.infer
        return inference

    def files(self, head: Head, metadata: dict[str, str]) -> dict[str, bytes]:
        """Return ``model.xml`` and ``model.bin``."""
        model = ir.with_ir_head(self.model, head)
        ir.set_metadata(model, metadata)
        return ir.ir_files(model, half=self._half)


def make_openvino(model: onnx.ModelProto, target: Target, precision: Precision) -> OpenVinoBackend:
    """Return the backend of a float32 graph; ``fp16`` and ``bf16`` store weights as float16."""
    graph, half = ir.to_ir(model), precision in ("fp16", "bf16")
    nodes = unquantized_nodes(model)
    values = {v for node in model.graph.node if node.name in nodes for v in node.output}
    operations = ir.operations_of(graph, values)
    form = ir.to_half_ir(graph) if half else graph
    return OpenVinoBackend(
        form,
        modules_of(model),
        operations,
        source=Observer(model),
        half=half,
        bfloat16=is_bfloat16(precision),
    )
