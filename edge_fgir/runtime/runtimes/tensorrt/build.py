"""From ONNX to a TensorRT plan: one code path for the Jetson and for the builder on a workstation.

The caller passes the module: ``tensorrt`` on the device, ``tensorrt_rtx`` where a graph is only
checked. What TensorRT 10.3, 10.13, 10.16 and 11 do not share is settled here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

from edge_fgir._errors import GateError


class Step(NamedTuple):
    """How far one phase of a build is; phases lie inside one another."""

    phase: str
    parent: str | None
    done: int
    total: int


Report = Callable[[Step], None]


@dataclass
class Timings:
    """How fast kernels were in earlier builds (TensorRT's timing cache); a build adds to it."""

    data: bytes = b""


def build_plan(
    trt: ModuleType,
    onnx: bytes,
    *,
    workspace_mb: int = 1024,
    compute_capabilities: Sequence[str] = (),
    timings: Timings | None = None,
    report: Report | None = None,
) -> bytes:
    """Parse ``onnx`` and build a serialized engine.

    Args:
        trt: ``tensorrt`` or ``tensorrt_rtx``.
        onnx: The model file.
        workspace_mb: Upper bound of the builder's scratch memory, MiB.
        compute_capabilities: Names such as ``SM86`` to build for (TensorRT-RTX only); empty means
            the GPU of this machine.
        timings: Used where TensorRT accepts them, and brought up to date; None: no timing cache.
        report: Called at every step, from the builder's threads, where TensorRT tells its progress.

    Raises:
        GateError: The parser or the builder refuses the graph; the text is TensorRT's own.
    """
    messages: list[str] = []
    logger = _logger(trt, messages)
    builder = trt.Builder(logger)
    # A network's own types and Q/DQ decide every precision: the only kind of network that 10 and
    # 11 share. 10 wants this flag; 11 has no other kind, and ignores or lacks the flag.
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
    monitor = None if report is None else _monitor(trt, report)
    if monitor is not None:
        config.progress_monitor = monitor
    cache = None if timings is None else _timing_cache(config, timings.data)
    messages.clear()  # a refused timing cache is no reason for what follows
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise GateError(
            f"TensorRT {trt.__version__} cannot build the graph "
            f"(workspace {workspace_mb} MiB): {_first(messages)}"
        )
    if timings is not None and cache is not None and (data := cache.serialize()) is not None:
        timings.data = bytes(data)
    return bytes(plan)


def _timing_cache(config: Any, known: bytes) -> Any:
    """Give the builder the timings in ``known``, or an empty cache where it refuses them."""
    for data in (known, b""):
        # Of another TensorRT or GPU, they are refused by the first call or by the second.
        cache = config.create_timing_cache(data)
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
            return cache
    return None


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


def _monitor(trt: ModuleType, report: Report) -> Any:
    base: Any = getattr(trt, "IProgressMonitor", None)
    if base is None:
        return None

    class Monitor(base):
        def __init__(self) -> None:
            base.__init__(self)
            self._phases: dict[str, tuple[str | None, int]] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self._phases[phase] = (parent, steps)
            report(Step(phase, parent, 0, steps))

        def step_complete(self, phase: str, step: int) -> bool:
            parent, steps = self._phases[phase]
            report(Step(phase, parent, step + 1, steps))
            return True  # False would cancel the build

        def phase_finish(self, phase: str) -> None:
            parent, steps = self._phases.pop(phase)
            report(Step(phase, parent, steps, steps))

    return Monitor()
