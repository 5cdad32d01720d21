"""TensorFlow Lite files get more operators: a head, or what another program asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edge_fgir._errors import GateError
from edge_fgir.exporting.graph import OUTPUT, Head
from edge_fgir.exporting.tflite import HEAVY, operators_in, read, written

_TYPES = {"float32": "FLOAT32", "int32": "INT32", "uint8": "UINT8"}


class Editor:
    """Adds operators of version 1 to the end of a file's one graph.

    Args:
        content: The file; it is left as it is.
    """

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert import schema_py_generated

        self.schema: Any = schema_py_generated
        self.model = read(content)
        (self.graph,) = self.model.subgraphs

    def options(self, name: str, **values: Any) -> Any:
        """Return an operator's options: ``name`` is the schema's, without ``Options``."""
        made = getattr(self.schema, f"{name}OptionsT")()
        for key, value in values.items():
            assert hasattr(made, key)
            setattr(made, key, value)
        return made

    def value(self, name: str, shape: Sequence[int], kind: str = "float32") -> int:
        """Add a tensor that is computed, or given, and return its index."""
        made = self.schema.TensorT()
        made.name, made.shape = name.encode(), [int(side) for side in shape]
        made.type = getattr(self.schema.TensorType, _TYPES[kind])
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def constant(self, name: str, values: np.ndarray) -> int:
        """Add a tensor that holds ``values`` of ``float32`` or ``int32``."""
        place = self.value(name, values.shape, values.dtype.name)
        self.graph.tensors[place].buffer = self.buffer(values)
        return place

    def buffer(self, values: np.ndarray) -> int:
        """Add a buffer of its own with the values and return its index."""
        made = self.schema.BufferT()
        made.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.model.buffers.append(made)
        return len(self.model.buffers) - 1

    def add(self, kind: str, inputs: Sequence[int], output: int, options: Any = None) -> int:
        """Append an operator, by the schema's name, that gives ``output``; return that."""
        code = self.schema.OperatorCodeT()
        number = getattr(self.schema.BuiltinOperator, kind)
        code.builtinCode, code.deprecatedBuiltinCode, code.version = number, number, 1
        self.model.operatorCodes.append(code)
        made = self.schema.OperatorT()
        made.opcodeIndex = len(self.model.operatorCodes) - 1
        made.inputs, made.outputs = list(inputs), [output]
        if options is not None:
            kinds = self.schema.BuiltinOptions
            made.builtinOptionsType = getattr(kinds, type(options).__name__.removesuffix("T"))
            made.builtinOptions = options
        self.graph.operators.append(made)
        return output

    def give(self, output: int) -> None:
        """Let the graph give another tensor in its first output's place."""
        self._rename(self.graph.outputs, "outputs", output)

    def give_one(self) -> None:
        """Let the graph give its first output alone."""
        first, *others = (int(place) for place in self.graph.outputs)
        self.graph.outputs = [first]
        for signature in self.model.signatureDefs or ():
            kept = [entry for entry in signature.outputs if entry.tensorIndex not in others]
            signature.outputs = kept

    def give_too(self, place: int, name: str) -> None:
        """Let the graph give one more tensor, which gets the name."""
        self.graph.tensors[place].name = name.encode()
        self.graph.outputs = [*(int(each) for each in self.graph.outputs), place]
        for signature in self.model.signatureDefs or ():
            entry = self.schema.TensorMapT()
            entry.name, entry.tensorIndex = name.encode(), place
            signature.outputs = [*signature.outputs, entry]

    def take(self, place: int) -> None:
        """Let the graph take another tensor in its input's place."""
        self._rename(self.graph.inputs, "inputs", place)

    def _rename(self, places: Any, side: str, new: int) -> None:
        old, places[0] = places[0], new
        for signature in self.model.signatureDefs or ():
            for entry in getattr(signature, side):
                entry.tensorIndex = new if entry.tensorIndex == old else entry.tensorIndex

    def written(self) -> bytes:
        """Return the file."""
        return written(self.model)


def with_tflite_features(content: bytes, name: str) -> bytes:
    """Let a file that ends in logits give what its last layer reads as one more output, ``name``.

    Raises:
        GateError: Its last layer reads no floats: quantization rounded them.
    """
    editor = Editor(content)
    makers = {int(one.output): one for one in operators_in(editor.model)}
    layer = makers[int(editor.graph.outputs[0])]
    # Weights in float16 are made floats by operators of their own.
    floats = {place for place, one in makers.items() if not {*one.inputs} & {*makers}}
    while not (layer.is_layer or (layer.kind in HEAVY and layer.inputs[1] in floats)):
        # a bias, or the adjustment of the logits
        layer = next(makers[each] for each in layer.inputs if each in {*makers} - floats)
    place = layer.inputs[0]
    if editor.graph.tensors[place].type != editor.schema.TensorType.FLOAT32:
        raise GateError(
            f"the last layer, {layer.modules or layer.kind}, reads rounded numbers, from which no "
            "features can be told; no bundle was written; let its quantization scheme be dynamic"
        )
    editor.give_too(place, name)
    return editor.written()


def with_tflite_head(content: bytes, head: Head) -> bytes:
    """Append ``head``, whose output takes the logits' place."""
    editor = Editor(content)
    place = editor.graph.outputs[0]
    shape = editor.graph.tensors[place].shape
    correction = editor.constant("correction", head.correction.astype(np.float32))
    factor = editor.constant("inverse_temperature", np.asarray([1 / head.temperature], np.float32))
    corrected, scaled, last = (
        editor.value(name, shape) for name in ("corrected", "scaled", OUTPUT)
    )
    editor.add("ADD", [place, correction], corrected, editor.options("Add"))
    editor.add("MUL", [corrected, factor], scaled, editor.options("Mul"))
    editor.add("SOFTMAX", [scaled], last, editor.options("Softmax", beta=1.0))
    editor.give(last)
    return editor.written()
