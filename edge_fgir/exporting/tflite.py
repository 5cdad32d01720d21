"""TensorFlow Lite files: made of torch's graph, run and looked into."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch

from edge_fgir._errors import GateError, MissingExtraError
from edge_fgir.exporting.graph import INPUT, LOGITS, DeployGraph, Logits, root_cause
from edge_fgir.exporting.quiet import silent
from edge_fgir.exporting.traces import Trace
from edge_fgir.models import as_wrapper
from edge_fgir.runtime import Pixels
from edge_fgir.runtime.runtimes.litert import open_interpreter

Model = Any
"""``ModelT`` of TensorFlow Lite's schema: the file's tables as objects."""

_IDENTIFIER = b"TFL3"
_TRACED = 4
"""Images that layers are compared on."""

_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
HEAVY = (*_WEIGHTED, "BATCH_MATMUL")
"""Operators that take nearly all of the time."""


@dataclass(frozen=True)
class Operator:
    """One operator of a file.

    Attributes:
        kind: As the schema calls it.
        name: Of what it gives: unlike any other's.
        modules: The torch modules that it computes, the last one first.
        inputs: Indices of tensors.
        output: Index of the first tensor that it gives.
        is_layer: It has weights: its planes come last, whatever torch's order is. A product of two
            activations may be a FULLY_CONNECTED too, where attention has one head.
    """

    kind: str
    name: str
    modules: tuple[str, ...]
    inputs: tuple[int, ...]
    output: int
    is_layer: bool


def to_tflite(network: DeployGraph, size: int) -> bytes:
    """Convert the deploy graph for pictures of ``size`` pixels; it ends in logits.

    Raises:
        MissingExtraError: The converter is not installed.
        GateError: The network computes something that LiteRT has no operator for.
    """
    if find_spec("litert_torch") is None:
        raise MissingExtraError("litert-torch", "export-litert", "exporting for LiteRT")
    image = torch.zeros(1, size, size, 3, dtype=torch.uint8)
    with warnings.catch_warnings(), silent():
        warnings.simplefilter("ignore")
        import litert_torch

        try:
            content: bytes = litert_torch.convert(network, (image,)).model_content()
        except Exception as error:  # the converter's have no base of their own
            cause = root_cause(error)
            raise GateError(
                f"litert-torch cannot convert the network: {cause}{_where(network, image, cause)}; "
                "expected operators that LiteRT has; no bundle was written; train another model: "
                "edge-fgir models list"
            ) from error
    model = read(content)
    if len(model.subgraphs) != 1:
        raise GateError(
            f"litert-torch makes {len(model.subgraphs)} graphs of the network; "
            "expected one; no bundle was written; train another model: edge-fgir models list"
        )
    (graph,) = model.subgraphs
    names = [INPUT, LOGITS, *as_wrapper(network.model).extra_outputs]
    for place, name in zip([*graph.inputs, *graph.outputs], names, strict=True):
        graph.tensors[place].name = name.encode()
    return written(model)


def _where(network: DeployGraph, image: torch.Tensor, cause: str) -> str:
    """Return the layer with the operator that an error is about; empty where it names none."""
    operator = cause.rpartition(" ")[2]
    if not operator.startswith("aten."):
        return ""
    for node in torch.export.export(network, (image,)).graph.nodes:
        if str(node.target) == operator:
            *_, (layer, _) = node.meta["nn_module_stack"].values()
            return f" (layer {layer.removeprefix('model').lstrip('.')})"
    return ""


def read(content: bytes) -> Model:
    """Return a file's tables."""
    from ai_edge_quantizer.utils.tfl_flatbuffer_utils import read_model

    return read_model(content)


def written(model: Model) -> bytes:
    """Return tables as a file that holds its weights like all else: the quantizer puts them behind
    the tables, where older interpreters do not look."""
    import flatbuffers

    for buffer in model.buffers:
        if buffer.data is not None:  # of what is no array each byte would be written by itself
            buffer.data = np.frombuffer(buffer.data, np.uint8)
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def scopes_of(network: DeployGraph) -> dict[str, str]:
    """Return the names of a network's modules by what the converter calls them: classes and names
    from the outermost module on."""
    found: dict[str, str] = {}

    def add(module: torch.nn.Module, scope: str, name: str) -> None:
        found[scope] = name.removeprefix("model").lstrip(".")
        for key, child in module.named_children():
            kind = f"{type(child).__module__}.{type(child).__qualname__}"
            add(child, f"{scope}/{kind}_{key}", f"{name}.{key}" if name else key)

    add(network, f"{type(network).__module__}.{type(network).__qualname__}", "")
    return found


def operators_in(model: Model, scopes: Mapping[str, str] | None = None) -> list[Operator]:
    """Return a file's operators in the order of computing.

    Args:
        model: Its tables.
        scopes: :func:`scopes_of` the network that it was made of; None: modules are not told.
    """
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    kinds = {code: name for name, code in vars(BuiltinOperator).items() if isinstance(code, int)}
    (graph,) = model.subgraphs
    found = []
    for one in graph.operators:
        name = graph.tensors[one.outputs[0]].name.decode()
        parts = (part for part in name.split(";") if part in (scopes or {}))
        modules = tuple(module for part in parts if (module := (scopes or {})[part]))
        kind = kinds[model.operatorCodes[one.opcodeIndex].builtinCode]
        inputs = tuple(int(place) for place in one.inputs)
        is_layer = kind in _WEIGHTED and _is_constant(model, inputs[1])
        found.append(Operator(kind, name, modules, inputs, int(one.outputs[0]), is_layer))
    return found


def operators_behind(model: Model, outputs: Collection[str]) -> list[str]:
    """Return the names of the operators that some of a file's outputs depend on."""
    (graph,) = model.subgraphs
    names = {int(place): graph.tensors[place].name.decode() for place in graph.outputs}
    wanted = {place for place, name in names.items() if name in outputs}
    found = []
    for one in reversed(graph.operators):
        if wanted.intersection(map(int, one.outputs)):
            found.append(graph.tensors[one.outputs[0]].name.decode())
            wanted.update(map(int, one.inputs))
    return found


def _is_constant(model: Model, place: int) -> bool:
    data = model.buffers[model.subgraphs[0].tensors[place].buffer].data
    return data is not None and len(data) > 0


def run_tflite(content: bytes, images: Pixels) -> Logits:
    """Run a file on (N, S, S, 3) pixels, one picture a core: (N, K) of its first output."""
    cores = len(os.sched_getaffinity(0))
    free: SimpleQueue[Any] = SimpleQueue()
    for _ in range(min(cores, len(images))):
        free.put(open_interpreter(content, threads=1))

    def answer(image: Pixels) -> Logits:
        interpreter = free.get()
        try:
            return call_of(interpreter, image[None])()
        finally:
            free.put(interpreter)

    with ThreadPoolExecutor(cores) as pool:
        return np.concatenate(list(pool.map(answer, images)))


def call_of(interpreter: Any, image: Pixels) -> Callable[[], Logits]:
    """Return one inference of (1, S, S, 3) as a call: (1, K)."""
    place = interpreter.get_input_details()[0]["index"]
    result = interpreter.get_output_details()[0]["index"]

    def call() -> Logits:
        interpreter.set_tensor(place, image)
        interpreter.invoke()
        logits: Logits = interpreter.get_tensor(result)
        return logits

    return call


def values_of(content: bytes, images: Pixels, places: Sequence[int]) -> Iterator[list[np.ndarray]]:
    """Yield for each of (N, S, S, 3) pixels what tensors hold, as real numbers."""
    interpreter = open_interpreter(content, all_values=True)
    details = {one["index"]: one for one in interpreter.get_tensor_details()}
    for image in images:
        call_of(interpreter, image[None])()
        yield [_real(interpreter.get_tensor(place), details[place]) for place in places]


def trace_tflite(content: bytes, scopes: Mapping[str, str], images: Pixels) -> Trace:
    """Run a file on the first images with all layers open.

    Layers alone are told: of what lies between them the converter chooses the order of axes.

    Args:
        content: The file, quantized or not.
        scopes: :func:`scopes_of` the network that it was made of.
        images: (N, S, S, 3).
    """
    operators = operators_in(read(content), scopes)
    layers = [one for one in operators if one.is_layer and one.modules]
    named = {one.modules[0]: one.output for one in layers}
    runs = list(values_of(content, images[:_TRACED], list(named.values())))
    return {
        module: np.stack([_as_torch(run[number]) for run in runs])
        for number, module in enumerate(named)
    }


def _real(values: np.ndarray, details: Mapping[str, Any]) -> np.ndarray:
    scale, zero = details["quantization"]
    if values.dtype.kind != "i" or not scale:
        return values
    real: np.ndarray = (values.astype(np.float32) - zero) * np.float32(scale)
    return real


def _as_torch(values: np.ndarray) -> np.ndarray:
    return values.transpose(0, 3, 1, 2) if values.ndim == 4 else values


def kinds_and_shapes(content: bytes) -> Hashable:
    """Return kinds of the operators, and types and shapes of what they read and give."""
    model = read(content)
    tensors = model.subgraphs[0].tensors
    used = [[*one.inputs, one.output] for one in operators_in(model)]
    told = partial(_told, tensors)
    return tuple(
        (one.kind, *map(told, places))
        for one, places in zip(operators_in(model), used, strict=True)
    )


def _told(tensors: Sequence[Any], place: int) -> Hashable:
    return None if place < 0 else (tensors[place].type, tuple(tensors[place].shape or ()))
