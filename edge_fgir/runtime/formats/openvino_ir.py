"""OpenVINO's IR: XML that names layers, and beside it a file of weights.

The format is OpenVINO's own documentation's ("OpenVINO IR format", 2026), and what its
``save_model`` writes.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from math import prod
from xml.etree import ElementTree

Element = ElementTree.Element

_MOST_BYTES = 64 << 20
_MOST_DEPTH = 8
_NUMBER = re.compile(r"[0-9]{1,18}")
_SHAPE = re.compile(r"(?:[0-9]{1,18}(?:, ?[0-9]{1,18}){0,15})?")
_BITS = {
    **dict.fromkeys(("boolean", "i8", "u8"), 8),
    **dict.fromkeys(("f16", "bf16", "i16", "u16"), 16),
    **dict.fromkeys(("f32", "i32", "u32"), 32),
    **dict.fromkeys(("f64", "i64", "u64"), 64),
}
_CHILDREN = {
    # Without body, port_map and back_edges (of loops), and blobs (weights of older formats).
    "net": {"layers", "edges", "rt_info"},
    "layers": {"layer"},
    "layer": {"data", "input", "output", "rt_info"},
    "input": {"port"},
    "output": {"port"},
    "port": {"dim", "rt_info"},
    "edges": {"edge"},
}


def checked_ir(xml: bytes, weights: int, layers: Collection[str]) -> bytes:
    """Refuse an IR that holds anything but listed layers whose constants lie inside its weights.

    Args:
        xml: ``model.xml``.
        weights: Bytes of ``model.bin``.
        layers: Types of layers.

    Returns:
        The same IR, written anew from what was looked at. It starts with ``<?xml``, which no other
        of the formats that OpenVINO recognises does, so only its IR reader takes it.

    Raises:
        ValueError: It holds something else; the text says what, and is safe to print.
    """
    if len(xml) > _MOST_BYTES:
        raise ValueError(f"it has {len(xml)} bytes, over {_MOST_BYTES}")
    if not xml.startswith(b"<") or b"<!" in xml or b"\0" in xml:
        raise ValueError("it is no plain XML")
    try:
        root = ElementTree.fromstring(xml.decode("utf-8"))
    except (ElementTree.ParseError, UnicodeDecodeError) as error:
        raise ValueError(f"it is no XML: {error}") from error
    if root.tag != "net":
        raise ValueError(f"its root is {root.tag!a}, not 'net'")
    _check_structure(root)
    for layer in root.iter("layer"):
        kind, version = layer.get("type", ""), layer.get("version", "")
        if kind not in layers:
            raise ValueError(f"layer type {kind[:60]!a} is used, which no target lists")
        if not re.fullmatch(r"opset[0-9]{1,2}", version):
            raise ValueError(f"a {kind} is of {version[:60]!a}, not of an opset")
        if kind == "Const":
            _check_constant(layer, weights)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _check_structure(root: Element) -> None:
    """Refuse elements that ``save_model`` does not write, or not there.

    Below ``rt_info`` there is what tools note about a model, under names of their own.
    """
    waiting = [(root, 1, False)]
    while waiting:
        element, depth, notes = waiting.pop()
        if depth > _MOST_DEPTH:
            raise ValueError(f"its elements are nested over {_MOST_DEPTH} deep")
        for child in element:
            if not notes and child.tag not in _CHILDREN.get(element.tag, ()):
                raise ValueError(f"a {element.tag[:60]!a} holds a {child.tag[:60]!a}")
            waiting.append((child, depth + 1, notes or child.tag == "rt_info"))


def _check_constant(layer: Element, weights: int) -> None:
    """Refuse a constant that reads beyond the weights, or is larger than what it reads."""
    entries = layer.findall("data")
    if len(entries) != 1:
        raise ValueError(f"a constant has {len(entries)} descriptions")
    data = entries[0]
    kind, shape = data.get("element_type", ""), data.get("shape", "")
    offset, size = data.get("offset", ""), data.get("size", "")
    if kind not in _BITS or not _SHAPE.fullmatch(shape):
        raise ValueError(f"a constant is of {kind[:60]!a} {shape[:60]!a}")
    if not (_NUMBER.fullmatch(offset) and _NUMBER.fullmatch(size)):
        raise ValueError(f"a constant is at {offset[:60]!a}, {size[:60]!a} bytes")
    dims = [int(part) for part in shape.split(",")] if shape else []
    if int(offset) + int(size) > weights or prod(dims) * _BITS[kind] // 8 != int(size):
        raise ValueError(
            f"a constant {kind} [{shape[:60]}] takes {size} bytes from {offset} of {weights}"
        )
