"""Where two forms of a network part: their layers' outputs, by the name of the torch module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor, nn

from edge_fgir.exporting.graph import INPUT, MODULE, DeployGraph, session_of
from edge_fgir.runtime import Pixels
from edge_fgir.runtime.runtimes.openvino import compile_model

Trace = dict[str, npt.NDArray[np.floating]]
"""Outputs by module name, in the order of computing."""

_IMAGES = 4


def first_difference(reference: Trace, other: Trace, tolerance: float) -> str:
    """Name the first layer whose outputs differ, in one line; empty if none does.

    Args:
        reference: Right outputs.
        other: Those in doubt.
        tolerance: Root mean square of the difference over that of the reference.
    """
    for name, right in reference.items():
        found = other.get(name)
        if found is None or found.size != right.size:
            continue
        scale = float(np.sqrt(np.square(right).mean())) or 1.0
        error = float(np.sqrt(np.square(found.reshape(right.shape) - right).mean())) / scale
        if not error <= tolerance:
            return f"the numbers part first at layer {name} (by {100 * error:.2g} %)"
    return ""


@torch.inference_mode()
def trace_torch(graph: DeployGraph, images: Pixels, *, blocks: bool = False) -> Trace:
    """Run torch's modules that have no parts of their own on the first images.

    With ``blocks``, the numbered modules that have parts instead: folding changes what lies in one,
    not what it gives.
    """
    runs: list[Trace] = []

    def keep(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor):  # a copy: the next layer may work in place
                # Of a module that runs twice (GLSim) the last value stays, as in modules_of.
                runs[-1][name] = output.float().numpy().copy()

        return hook

    handles = [
        module.register_forward_hook(keep(name))
        for name, module in graph.model.named_modules()
        if name and (_is_block(name, module) if blocks else not any(module.children()))
    ]
    try:
        for image in images[:_IMAGES]:
            runs.append({})
            graph(torch.from_numpy(image)[None])
    finally:
        for handle in handles:
            handle.remove()
    return {name: np.stack([run[name] for run in runs]) for name in runs[0]}


def _is_block(name: str, module: nn.Module) -> bool:
    numbered = name.rpartition(".")[2].isdigit()
    return numbered and any(module.children()) and not isinstance(module, nn.Sequential)


def trace_onnx(
    model: onnx.ModelProto, names: Mapping[str, str], images: Pixels, *, optimized: bool = True
) -> Trace:
    """Run an ONNX graph on the first images.

    Args:
        model: Float, float16 or Q/DQ.
        names: :func:`modules_of` of the float32 graph.
        images: (N, S, S, 3).
        optimized: With ONNX Runtime's graph optimiser.
    """
    values = {value for node in model.graph.node for value in node.output}
    shared = {_as_read(v, model): module for v, module in names.items() if v in values}
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    known = {output.name for output in opened.graph.output}
    opened.graph.output.extend(onnx.ValueInfoProto(name=v) for v in shared if v not in known)
    session = session_of(opened, optimized=optimized, exact=True)
    runs = [session.run(list(shared), {INPUT: image[None]}) for image in images[:_IMAGES]]
    outputs = (np.stack(each).astype(np.float32) for each in zip(*runs, strict=True))
    return dict(zip(shared.values(), outputs, strict=True))


def _as_read(value: str, model: onnx.ModelProto) -> str:
    """Return what is read in the place of a value: where it is quantized, what is left of it."""
    for kind in ("QuantizeLinear", "DequantizeLinear"):
        readers = (n for n in model.graph.node if n.op_type == kind and n.input[0] == value)
        value = next((reader.output[0] for reader in readers), value)
    return value


def trace_ir(
    model: Any, names: Mapping[str, str], images: Pixels, *, bfloat16: bool = False
) -> Trace:
    """Run an OpenVINO graph on the first images.

    Args:
        model: ``openvino.Model`` read from the ONNX graph, quantized or not.
        names: :func:`modules_of` of that graph.
        images: (N, S, S, 3).
        bfloat16: Compute float layers in it.
    """
    opened = model.clone()
    opened.add_outputs(
        [
            output
            for operation in opened.get_ordered_ops()
            for output in operation.outputs()
            if not output.get_names().isdisjoint(names) and operation.get_type_name() != "Result"
        ]
    )
    compiled = compile_model(opened, bfloat16=bfloat16)
    runs = [compiled(image[None]) for image in images[:_IMAGES]]
    found = {
        names[name]: np.stack([np.array(run[port]) for run in runs])
        for port in compiled.outputs
        for name in port.get_names()
        if name in names
    }
    return {module: found[module] for module in names.values() if module in found}


def modules_of(model: onnx.ModelProto) -> dict[str, str]:
    """Return, by value of the graph, the module that gives it; each module's last value alone."""
    found: dict[str, str] = {}
    for node in model.graph.node:
        for entry in node.metadata_props:
            if entry.key == MODULE:
                found[entry.value] = node.output[0]
    return {value: module for module, value in found.items()}
