"""ONNX files: a walk over the protobuf wire format, without the ``onnx`` library.

The wire format is a sequence of fields, each a tag (number and type), then a value whose end is
known without knowing its meaning (protobuf.dev, "Encoding"). The messages and numbers are those of
onnx.proto (ONNX 1.23).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTH = {_FIXED64: 8, _FIXED32: 4}
_MOST_FIELDS = 2_000_000

_PLAIN, _OPERATOR, _DOMAIN, _LOCATION = "a value", "an operator", "its domain", "a location"

_MESSAGES: Mapping[str, Mapping[int, str]] = {
    # number: what it holds, a message of this table or one of the four above. Absent, and so
    # refused: training_info, functions, configuration.
    "ModelProto": {
        **dict.fromkeys((1, 2, 3, 4, 5, 6), _PLAIN),
        7: "GraphProto",
        8: "OperatorSetIdProto",
        14: "StringStringEntryProto",
    },
    "OperatorSetIdProto": dict.fromkeys((1, 2), _PLAIN),
    "StringStringEntryProto": dict.fromkeys((1, 2), _PLAIN),
    # Without quantization_annotation and sparse_initializer.
    "GraphProto": {
        **dict.fromkeys((2, 10), _PLAIN),
        1: "NodeProto",
        5: "TensorProto",
        **dict.fromkeys((11, 12, 13), "ValueInfoProto"),
        16: "StringStringEntryProto",
    },
    # Without overload, which calls a function, and device_configurations.
    "NodeProto": {
        **dict.fromkeys((1, 2, 3, 6), _PLAIN),
        4: _OPERATOR,
        5: "AttributeProto",
        7: _DOMAIN,
        9: "StringStringEntryProto",
    },
    # Without graphs (of Loop, If and Scan), sparse tensors, types and references to a function's.
    "AttributeProto": {**dict.fromkeys((1, 2, 3, 4, 7, 8, 9, 13, 20), _PLAIN), 5: "TensorProto"},
    # Without external_data, segment and string_data.
    "TensorProto": {
        **dict.fromkeys((1, 2, 4, 5, 7, 8, 9, 10, 11, 12), _PLAIN),
        14: _LOCATION,
        16: "StringStringEntryProto",
    },
    "ValueInfoProto": {
        **dict.fromkeys((1, 3), _PLAIN),
        2: "TypeProto",
        4: "StringStringEntryProto",
    },
    # Tensors alone: no sequences, maps, optional or sparse values.
    "TypeProto": {1: "TypeProto.Tensor", 6: _PLAIN},
    "TypeProto.Tensor": {1: _PLAIN, 2: "TensorShapeProto"},
    "TensorShapeProto": {1: "TensorShapeProto.Dimension"},
    "TensorShapeProto.Dimension": dict.fromkeys((1, 2, 3), _PLAIN),
}


class _Field(NamedTuple):
    number: int
    kind: int
    value: int
    """Of a varint."""
    start: int
    end: int


def check_onnx(model: bytes, operators: Collection[str]) -> None:
    """Refuse an ONNX file that holds anything but one graph of listed operators and its weights.

    Args:
        model: The file.
        operators: Of ONNX's own domain.

    Raises:
        ValueError: It holds something else; the text says what, and is safe to print.
    """
    fields = 0
    waiting = [("ModelProto", 0, len(model))]
    while waiting:
        message, start, end = waiting.pop()
        known = _MESSAGES[message]
        for field in _fields(model, start, end):
            fields += 1
            if fields > _MOST_FIELDS:
                raise ValueError(f"it has over {_MOST_FIELDS} fields")
            kind = known.get(field.number)
            if kind is None:
                raise ValueError(f"a {message} has field {field.number}, which no export writes")
            if kind == _LOCATION and (field.kind, field.value) != (_VARINT, 0):
                raise ValueError("weights lie outside the file")
            if kind in (_PLAIN, _LOCATION):
                continue
            if field.kind != _BYTES:
                raise ValueError(f"field {field.number} of a {message} is not of its type")
            if kind in _MESSAGES:
                waiting.append((kind, field.start, field.end))
                continue
            name = model[field.start : field.end]
            if kind == _DOMAIN and name not in (b"", b"ai.onnx"):
                raise ValueError(f"operators of domain {_shown(name)} are used")
            if kind == _OPERATOR and name.decode("ascii", "replace") not in operators:
                raise ValueError(f"operator {_shown(name)} is used, which no target lists")


def _shown(name: bytes) -> str:
    return ascii(name[:60].decode("utf-8", "replace"))


def _fields(data: bytes, place: int, end: int) -> Iterator[_Field]:
    """Yield the fields of the message from ``place`` to ``end``.

    Raises:
        ValueError: It is cut off, or is no message.
    """
    while place < end:
        tag, place = _varint(data, place, end)
        number, kind = tag >> 3, tag & 7
        value, start = 0, place
        if kind == _VARINT:
            value, place = _varint(data, place, end)
        elif kind == _BYTES:
            size, start = _varint(data, place, end)
            place = start + size
        elif kind in _WIDTH:
            place += _WIDTH[kind]
        if not number or kind not in (_VARINT, _BYTES, *_WIDTH):
            raise ValueError(f"it is no ONNX file: byte {start} begins no field")
        if place > end:
            raise ValueError(f"it is no ONNX file: a field ends behind byte {end}")
        yield _Field(number, kind, value, start, place)


def _varint(data: bytes, place: int, end: int) -> tuple[int, int]:
    """Return a number of up to 64 bits, and where it ends."""
    value = 0
    for count in range(min(10, end - place)):
        byte = data[place + count]
        value |= (byte & 127) << 7 * count
        if byte < 128:
            return value, place + count + 1
    raise ValueError(f"it is no ONNX file: the number at byte {place} has no end")
