"""TensorFlow Lite files: a walk over the FlatBuffers tables, without a library.

A FlatBuffer is tables that point at each other by 32-bit offsets; a table's fields are found by its
vtable, 16-bit places in the order of their numbers (flatbuffers.dev, "FlatBuffer Internals"). The
tables and numbers are those of TensorFlow Lite's schema.fbs, version 3. LiteRT reads a file without
looking whether its offsets stay inside.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping, Sequence
from math import prod
from types import MappingProxyType
from typing import NamedTuple

OPERATORS: Mapping[int, str] = MappingProxyType(
    {
        **{0: "ADD", 1: "AVERAGE_POOL_2D", 2: "CONCATENATION", 3: "CONV_2D"},
        **{4: "DEPTHWISE_CONV_2D", 6: "DEQUANTIZE", 7: "EMBEDDING_LOOKUP", 8: "FLOOR"},
        **{
            9: "FULLY_CONNECTED",
            11: "L2_NORMALIZATION",
            14: "LOGISTIC",
            17: "MAX_POOL_2D",
            18: "MUL",
            19: "RELU",
        },
        **{20: "RELU_N1_TO_1", 21: "RELU6", 22: "RESHAPE", 23: "RESIZE_BILINEAR", 25: "SOFTMAX"},
        **{28: "TANH", 34: "PAD", 36: "GATHER", 39: "TRANSPOSE", 40: "MEAN", 41: "SUB", 42: "DIV"},
        **{43: "SQUEEZE", 45: "STRIDED_SLICE", 47: "EXP", 48: "TOPK_V2", 49: "SPLIT"},
        **{50: "LOG_SOFTMAX", 53: "CAST", 54: "PRELU", 55: "MAXIMUM", 56: "ARG_MAX"},
        **{57: "MINIMUM", 58: "LESS", 59: "NEG", 60: "PADV2", 61: "GREATER", 62: "GREATER_EQUAL"},
        **{63: "LESS_EQUAL", 64: "SELECT", 65: "SLICE", 66: "SIN", 67: "TRANSPOSE_CONV"},
        **{69: "TILE", 70: "EXPAND_DIMS", 71: "EQUAL", 72: "NOT_EQUAL", 73: "LOG", 74: "SUM"},
        **{75: "SQRT", 76: "RSQRT", 78: "POW", 79: "ARG_MIN", 82: "REDUCE_MAX", 83: "PACK"},
        **{84: "LOGICAL_OR", 85: "ONE_HOT", 86: "LOGICAL_AND", 87: "LOGICAL_NOT", 88: "UNPACK"},
        **{89: "REDUCE_MIN", 90: "FLOOR_DIV", 92: "SQUARE", 95: "FLOOR_MOD"},
        **{97: "RESIZE_NEAREST_NEIGHBOR", 98: "LEAKY_RELU", 99: "SQUARED_DIFFERENCE"},
        **{100: "MIRROR_PAD", 101: "ABS", 102: "SPLIT_V", 104: "CEIL", 107: "GATHER_ND"},
        **{108: "COS", 111: "ELU", 114: "QUANTIZE", 116: "ROUND", 117: "HARD_SWISH"},
        **{122: "SCATTER_ND", 123: "SELECT_V2", 126: "BATCH_MATMUL", 128: "CUMSUM"},
        **{130: "BROADCAST_TO", 140: "REDUCE_ALL", 150: "GELU", 152: "RELU_0_TO_1", 158: "SIGN"},
    }
)
"""Operators by their codes; those that a target may list."""

_IDENTIFIER = b"TFL3"
_MOST_TABLES = 200_000
_MOST_NUMBERS = 2_000_000
"""That are read one by one: of shapes, operators' inputs and the like, not of weights."""
_MOST_DIMS = 16
_BYTES = {0: 4, 1: 2, 2: 4, 3: 1, 4: 8, 6: 1, 7: 2, 9: 1, 15: 4, 16: 2}
"""Of an element, by the type's code: numbers and truths, no strings, resources nor variants."""

_SCALAR, _TEXT, _NUMBERS, _OPTIONS = "a scalar", "a text", "numbers", "options"
_FIELDS: Mapping[str, Mapping[int, tuple[str, int | str]]] = {
    # number: what it holds, and its bytes or, of a list, those of an item or its table. Absent, and
    # so refused: buffers outside the file, custom operators, options of StableHLO, sparse and
    # variable tensors, and quantization that is not by scale and zero point.
    "Model": {
        0: (_SCALAR, 4),
        1: ("list", "OperatorCode"),
        2: ("list", "SubGraph"),
        3: (_TEXT, 1),
        4: ("list", "Buffer"),
        6: ("list", "Metadata"),
        7: ("list", "SignatureDef"),
    },
    "OperatorCode": {0: (_SCALAR, 1), 2: (_SCALAR, 4), 3: (_SCALAR, 4)},
    "SubGraph": {
        0: ("list", "Tensor"),
        1: (_NUMBERS, 4),
        2: (_NUMBERS, 4),
        3: ("list", "Operator"),
        4: (_TEXT, 1),
    },
    "Buffer": {0: (_NUMBERS, 1)},
    "Metadata": {0: (_TEXT, 1), 1: (_SCALAR, 4)},
    "SignatureDef": {
        0: ("list", "TensorMap"),
        1: ("list", "TensorMap"),
        2: (_TEXT, 1),
        4: (_SCALAR, 4),
    },
    "TensorMap": {0: (_TEXT, 1), 1: (_SCALAR, 4)},
    "Tensor": {
        0: (_NUMBERS, 4),
        1: (_SCALAR, 1),
        2: (_SCALAR, 4),
        3: (_TEXT, 1),
        4: ("table", "QuantizationParameters"),
        7: (_NUMBERS, 4),
        8: (_SCALAR, 1),
    },
    "QuantizationParameters": {
        0: (_NUMBERS, 4),
        1: (_NUMBERS, 4),
        2: (_NUMBERS, 4),
        3: (_NUMBERS, 8),
        6: (_SCALAR, 4),
    },
    "Operator": {
        0: (_SCALAR, 4),
        1: (_NUMBERS, 4),
        2: (_NUMBERS, 4),
        3: (_SCALAR, 1),
        4: (_OPTIONS, 0),
        6: (_SCALAR, 1),
    },
}
_LISTS_IN_OPTIONS = {17: 0, 30: 0}
"""By the options' kind, the field that is a list: the shape of a RESHAPE, the axes of a SQUEEZE."""
_NONE = -1
"""Index of an operator's input that is left out."""


class _Table(NamedTuple):
    """A table's fields: scalars as numbers, lists of numbers as place and count, tables."""

    scalars: dict[int, int]
    numbers: dict[int, tuple[int, int]]
    tables: dict[int, list[_Table]]


def check_tflite(model: bytes, operators: Collection[str]) -> None:
    """Refuse a TensorFlow Lite file that holds anything but one graph of listed operators.

    Args:
        model: The file.
        operators: Names of builtin operators.

    Raises:
        ValueError: It holds something else; the text says what, and is safe to print.
    """
    reader = _Reader(model)
    root = reader.root()
    codes = [_operator(code, operators) for code in root.tables.get(1, [])]
    buffers = [one.numbers.get(0, (0, 0))[1] for one in root.tables.get(4, [])]
    if len(graphs := root.tables.get(2, [])) != 1:
        raise ValueError(f"it has {len(graphs)} graphs, not one")
    (graph,) = graphs
    tensors = graph.tables.get(0, [])
    for tensor in tensors:
        _check_tensor(reader, tensor, buffers)
    for operator in graph.tables.get(3, []):
        if not 0 <= operator.scalars.get(0, 0) < len(codes):
            raise ValueError("an operator has no code")
        reader.check_indices(operator, (1, 2), len(tensors), lowest=_NONE)
    reader.check_indices(graph, (1, 2), len(tensors))
    for entry in root.tables.get(6, []):
        if not 0 <= entry.scalars.get(1, 0) < len(buffers):
            raise ValueError("metadata lie in no buffer")
    for signature in root.tables.get(7, []):
        places = [one for field in (0, 1) for one in signature.tables.get(field, [])]
        if signature.scalars.get(4, 0) or any(
            not 0 <= place.scalars.get(1, 0) < len(tensors) for place in places
        ):
            raise ValueError("a signature is of no tensors")


def _operator(code: _Table, operators: Collection[str]) -> str:
    """Return an operator's name; older files write a small code into another field."""
    number = max(code.scalars.get(0, 0), code.scalars.get(3, 0))
    name = OPERATORS.get(number, f"of code {number}")
    if name not in operators:
        raise ValueError(f"operator {name} is used, which no target lists")
    return name


def _check_tensor(reader: _Reader, tensor: _Table, buffers: Sequence[int]) -> None:
    """Refuse a tensor of a type or shape that no export writes, or larger than what it reads."""
    kind, buffer = tensor.scalars.get(1, 0), tensor.scalars.get(2, 0)
    shape = reader.integers(tensor.numbers.get(0, (0, 0)))
    if kind not in _BYTES or len(shape) > _MOST_DIMS or any(dim < 0 for dim in shape):
        raise ValueError(f"a tensor is of type {kind} and shape {shape[:_MOST_DIMS]}")
    if any(dim < 0 for dim in reader.integers(tensor.numbers.get(7, (0, 0)))):
        raise ValueError("a tensor's shape is not fixed")
    if not 0 <= buffer < len(buffers):
        raise ValueError("a tensor lies in no buffer")
    if buffers[buffer] and prod(shape) * _BYTES[kind] != buffers[buffer]:
        raise ValueError(f"a tensor of type {kind} and shape {shape} is of {buffers[buffer]} bytes")
    for rule in tensor.tables.get(4, []):
        scales, zeros = (rule.numbers.get(field, (0, 0))[1] for field in (2, 3))
        axis = rule.scalars.get(6, 0)
        channels = shape[axis] if 0 <= axis < len(shape) else 1
        if scales not in (0, 1, channels) or zeros not in (0, scales):
            raise ValueError(f"a tensor of shape {shape} has {scales} scales and {zeros} zeros")


class _Reader:
    """Reads tables of known kinds; nothing outside the file, and no more than a bound of them."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._tables = self._numbers = 0

    def root(self) -> _Table:
        if self._data[4:8] != _IDENTIFIER:
            raise ValueError("it is no TensorFlow Lite file")
        return self._table("Model", self._unsigned(0, 4))

    def integers(self, numbers: tuple[int, int]) -> list[int]:
        """Return a vector's 32-bit numbers."""
        start, count = numbers
        self._numbers += count
        if self._numbers > _MOST_NUMBERS:
            raise ValueError(f"it has over {_MOST_NUMBERS} shapes and places")
        return list(struct.unpack_from(f"<{count}i", self._data, start)) if count else []

    def check_indices(
        self, table: _Table, fields: Sequence[int], count: int, lowest: int = 0
    ) -> None:
        """Refuse indices that are none of ``count`` items."""
        for field in fields:
            for index in self.integers(table.numbers.get(field, (0, 0))):
                if not lowest <= index < count:
                    raise ValueError(f"index {index} is none of {count} tensors")

    def _unsigned(self, place: int, width: int) -> int:
        if place < 0 or place + width > len(self._data):
            raise ValueError(f"it is cut off: byte {place} of {len(self._data)} is read")
        return int.from_bytes(self._data[place : place + width], "little")

    def _fields(self, place: int) -> dict[int, int]:
        """Return where the fields of the table at ``place`` are, by number."""
        self._tables += 1
        if self._tables > _MOST_TABLES:
            raise ValueError(f"it has over {_MOST_TABLES} tables")
        # A signed number: the vtable may lie on either side.
        back = self._unsigned(place, 4)
        vtable = place - (back - (1 << 32) if back >> 31 else back)
        size, extent = self._unsigned(vtable, 2), self._unsigned(vtable + 2, 2)
        self._unsigned(vtable, max(size, 4))
        self._unsigned(place, max(extent, 4))
        found = {}
        for number in range((size - 4) // 2):
            offset = self._unsigned(vtable + 4 + 2 * number, 2)
            if offset:
                if not 4 <= offset < extent:
                    raise ValueError(f"field {number} of the table at {place} is outside it")
                found[number] = place + offset
        return found

    def _table(self, kind: str, place: int) -> _Table:
        known = _FIELDS[kind]
        table = _Table({}, {}, {})
        fields = self._fields(place)
        for number, at in fields.items():
            if number not in known:
                raise ValueError(f"a {kind} has field {number}, which no export writes")
            form, of = known[number]
            if form == _SCALAR:
                table.scalars[number] = self._unsigned(at, int(of))
            elif form in (_TEXT, _NUMBERS):
                table.numbers[number] = self._vector(at, int(of))
            elif form == "table":
                table.tables[number] = [self._table(str(of), at + self._unsigned(at, 4))]
            elif form == "list":
                start, count = self._vector(at, 4)
                places = [start + 4 * index for index in range(count)]
                tables = [self._table(str(of), p + self._unsigned(p, 4)) for p in places]
                table.tables[number] = tables
        if kind == "Operator" and 4 in fields:
            self._options(table.scalars.get(3, 0), fields[4])
        return table

    def _options(self, kind: int, at: int) -> None:
        """Look at an operator's options, all of whose fields are scalars but for known lists."""
        fields = self._fields(at + self._unsigned(at, 4))
        for number, place in fields.items():
            if _LISTS_IN_OPTIONS.get(kind) == number:
                self._vector(place, 4)
            else:
                self._unsigned(place, 4)

    def _vector(self, at: int, width: int) -> tuple[int, int]:
        """Return where a vector's items begin, and how many there are."""
        place = at + self._unsigned(at, 4)
        count = self._unsigned(place, 4)
        if place + 4 + count * width > len(self._data):
            raise ValueError(f"a list of {count} items ends behind the file")
        return place + 4, count
