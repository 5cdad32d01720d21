"""From ONNX to a TensorRT plan: one code path for the Jetson and for the builder on a workstation.

The caller passes the module: ``tensorrt`` on the device, ``tensorrt_rtx`` where a graph is only
checked. Networks are strongly typed: the graph's own types and Q/DQ decide every precision, the
only way that TensorRT 10 and 11 share.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from edge_fgir._errors import GateError


def build_plan(
    trt: ModuleType,
    onnx: bytes,
    *,
    workspace_mb: int = 1024,
    compute_capabilities: Sequence[str] = (),
) -> bytes:
    """Parse ``onnx`` and build a serialized engine.

    Args:
        trt: ``tensorrt`` or ``tensorrt_rtx``.
        onnx: The model file.
        workspace_mb: Upper bound of the builder's scratch memory, MiB.
        compute_capabilities: Names such as ``SM86`` to build for (TensorRT-RTX only); empty means
            the GPU of this machine.

    Raises:
        GateError: The parser or the builder refuses the graph; the text is TensorRT's own.
    """
    messages: list[str] = []
    logger = _logger(trt, messages)
    builder = trt.Builder(logger)
    # TensorRT 11 has no other kind of network, and no flag for it.
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx):
        found = [parser.get_error(i) for i in range(parser.num_errors)]
        errors = [f"{e.node_operator()} {e.node_name()!r}: {e.desc()}" for e in found]
        raise GateError(f"TensorRT {trt.__version__} cannot parse the graph: {_first(errors)}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_mb << 20)
    if compute_capabilities:
        config.num_compute_capabilities = len(compute_capabilities)
        for index, name in enumerate(compute_capabilities):
            config.set_compute_capability(getattr(trt.ComputeCapability, name), index)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise GateError(f"TensorRT {trt.__version__} cannot build the graph: {_first(messages)}")
    return bytes(plan)


def _first(messages: Sequence[str]) -> str:
    return " ".join(messages[0].split()) if messages else "no reason given"


def _logger(trt: ModuleType, messages: list[str]) -> Any:
    base: Any = trt.ILogger

    class Collector(base):
        def __init__(self) -> None:
            base.__init__(self)

        def log(self, severity: Any, text: str) -> None:
            if severity in (base.ERROR, base.INTERNAL_ERROR):
                messages.append(text)

    return Collector()
