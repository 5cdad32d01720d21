"""Model files made to do harm inside a bundle whose seals are right: they are never opened."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from bundles import make_bundle
from hypothesis import given
from hypothesis import strategies as st

from edge_fgir import Classifier, InputError
from edge_fgir.runtime.formats import check_onnx, checked_ir
from edge_fgir.runtime.targets import operators_of

pytestmark = pytest.mark.unit
onnx = pytest.importorskip("onnx")
DecodeError = pytest.importorskip("google.protobuf.message").DecodeError
pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

IN_MEMORY = "*/_ORT_MEM_ADDR_/*"
"""Where ONNX Runtime and OpenVINO look for weights at an address of their own process."""


def refusal(bundle: Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Classifier.open(bundle)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert "expected a model as edge-fgir exports it" in text


def parsed(bundle: Path) -> Any:
    return onnx.load_model_from_string((bundle / "model.onnx").read_bytes())


def at_an_address(bundle: Path) -> bytes:
    """The bundle's model, but its weights are whatever this process has at some address."""
    secret = np.arange(9, dtype=np.float32)
    model = parsed(bundle)
    weights = next(one for one in model.graph.initializer if one.name == "weights")
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    entries = {"location": IN_MEMORY, "offset": str(secret.ctypes.data), "length": "36"}
    for key, value in entries.items():
        weights.external_data.add(key=key, value=value)
    return model.SerializeToString()


def test_memory_of_the_process_is_not_read_by_openvino(arm_bundle, tmp_path):
    spoilt = {"openvino/model.xml": at_an_address(arm_bundle)}
    refusal(make_bundle(tmp_path / "a.fgir", replaced=spoilt), "model.xml: it is no plain XML")


@pytest.mark.parametrize("target", ["arm", "jetson"])
def test_memory_of_the_process_is_not_read_by_onnx_runtime(target, arm_bundle, tmp_path):
    spoilt = {"model.onnx": at_an_address(arm_bundle)}
    path = make_bundle(tmp_path / "a.fgir", target=target, replaced=spoilt)
    with pytest.raises(InputError, match=r"model\.onnx: (a TensorProto has field 13|weights lie)"):
        Classifier.open(path, "cpu")


def with_function(model: Any) -> None:
    node = onnx.helper.make_node("Relu", ["a"], ["b"])
    opset = onnx.helper.make_opsetid("", 18)
    model.functions.append(onnx.helper.make_function("ours", "f", ["a"], ["b"], [node], [opset]))


def with_subgraph(model: Any) -> None:
    model.graph.node[0].attribute.add(name="body", type=onnx.AttributeProto.GRAPH).g.name = "loop"


def with_other_domain(model: Any) -> None:
    model.graph.node[0].domain = "com.microsoft"


def with_unlisted_operator(model: Any) -> None:
    model.graph.node[1].op_type = "NonZero"


def with_sparse_weights(model: Any) -> None:
    model.graph.sparse_initializer.add().dims.append(3)


def with_training(model: Any) -> None:
    model.training_info.add().algorithm.name = "learn"


def with_sequence(model: Any) -> None:
    model.graph.input[0].type.sequence_type.elem_type.tensor_type.elem_type = 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_function, "a ModelProto has field 25"),
        (with_subgraph, "an? AttributeProto has field 6"),
        (with_other_domain, "operators of domain 'com.microsoft' are used"),
        (with_unlisted_operator, "operator 'NonZero' is used, which no target lists"),
        (with_sparse_weights, "a GraphProto has field 15"),
        (with_training, "a ModelProto has field 20"),
        (with_sequence, "a TypeProto has field 4"),
    ],
)
def test_an_onnx_file_holds_one_graph_of_listed_operators(change, message, arm_bundle, tmp_path):
    model = parsed(arm_bundle)
    change(model)
    spoilt = {"model.onnx": model.SerializeToString()}
    refusal(make_bundle(tmp_path / "a.fgir", target="arm", replaced=spoilt), message)


def test_onnx_runtimes_own_format_is_not_opened(arm_bundle, tmp_path):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    ort.InferenceSession(str(arm_bundle / "model.onnx"), options)
    spoilt = {"model.onnx": (tmp_path / "model.ort").read_bytes()}
    refusal(make_bundle(tmp_path / "a.fgir", target="arm", replaced=spoilt), "it is no ONNX file")


IR_ATTACKS: list[tuple[str, str, str]] = [
    (r'type="SoftMax"', 'type="Loop"', "layer type 'Loop' is used, which no target lists"),
    (r'type="SoftMax"', 'type="ReadValue"', "layer type 'ReadValue' is used"),
    (r'(type="SoftMax" version=)"opset8"', r'\1"extension"', "is of 'extension', not of an opset"),
    (r'offset="\d+"', 'offset="18446744073709551600"', "a constant is at '18446744073709551600'"),
    (r'offset="\d+"', 'offset="-16"', "a constant is at '-16'"),
    (r'offset="\d+"', 'offset="999999"', "bytes from 999999 of"),
    (r'(element_type="f32" shape=")[^"]+', r"\1 9999999", "a constant is of 'f32' ' 9999999'"),
    (r'(element_type="f32" shape=")[^"]+', r"\g<1>9999999", r"a constant f32 \[9999999\] takes"),
    (r'(<data element_type=)"f32"', r'\1"string"', "a constant is of 'string'"),
    ("</layers>", "</layers><body/>", "a 'net' holds a 'body'"),
    ("<layers>", '<layers><layer type="Const" version="opset1"/>', "has 0 descriptions"),
    ("<net ", "<model ", "it is no XML"),
    (r"<\?xml[^>]*>", '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]>', "it is no plain XML"),
    (r"^", "\n", "it is no plain XML"),
    (r"^[\s\S]*$", "<pmml/>", "its root is 'pmml', not 'net'"),
    ("<rt_info>", "<rt_info>" + 9 * "<a>" + 9 * "</a>", "nested over 8 deep"),
]


@pytest.mark.parametrize(("pattern", "replacement", "message"), IR_ATTACKS)
def test_an_ir_holds_listed_layers_whose_weights_lie_in_its_file(
    pattern, replacement, message, tiny_bundle, tmp_path
):
    whole = (tiny_bundle / "openvino/model.xml").read_text()
    spoilt, count = re.subn(pattern, replacement, whole, count=1)
    if "rt_info" in pattern and not count:
        spoilt = whole.replace("</net>", f"{replacement}</rt_info></net>")
    assert spoilt != whole
    replaced = {"openvino/model.xml": spoilt.encode()}
    refusal(make_bundle(tmp_path / "a.fgir", replaced=replaced), message)


def test_an_ir_in_another_encoding_is_refused(tiny_bundle, tmp_path):
    text = (tiny_bundle / "openvino/model.xml").read_text().replace("utf-8", "utf-16")
    replaced = {"openvino/model.xml": text.encode("utf-16")}
    refusal(make_bundle(tmp_path / "a.fgir", replaced=replaced), "it is no plain XML")


def test_what_openvino_reads_starts_as_no_other_format_does(tiny_bundle):
    folder = tiny_bundle / "openvino"
    xml, size = (folder / "model.xml").read_bytes(), (folder / "model.bin").stat().st_size
    written = checked_ir(b"  \n".join(xml.split(b"\n")), size, operators_of("openvino"))
    # 0x3c is the tag "end of group 7", which begins no protobuf message (ONNX, TensorFlow, Paddle).
    assert written.startswith(b"<?xml")
    assert ElementTree.fromstring(written).tag == "net"
    assert written[4:8] != b"TFL3"


def holds_only_what_is_listed(model: Any) -> bool:
    tensors = [*model.graph.initializer]
    tensors += [a.t for node in model.graph.node for a in node.attribute if a.HasField("t")]
    return (
        not model.functions
        and not model.training_info
        and not model.graph.sparse_initializer
        and not any(one.external_data or one.data_location for one in tensors)
        and all(node.domain in ("", "ai.onnx") for node in model.graph.node)
        and all(node.op_type in operators_of("onnxruntime") for node in model.graph.node)
        and not any(a.HasField("g") or a.graphs for n in model.graph.node for a in n.attribute)
    )


Spoil = Callable[[bytes], bytes]


@st.composite
def spoilings(draw: st.DrawFn) -> Spoil:
    """Bytes that are cut out, put in or changed at one place."""
    place, left = draw(st.floats(0, 1)), draw(st.integers(0, 8))
    put = draw(st.binary(max_size=8) | st.sampled_from([b"\x72\x00", b"\x32\x00", b"\xca\x01\x00"]))

    def spoil(whole: bytes) -> bytes:
        at = int(place * len(whole))
        return whole[:at] + put + whole[at + left :]

    return spoil


@given(spoils=st.lists(spoilings(), min_size=1, max_size=3))
def test_whatever_onnx_reads_of_an_accepted_file_is_listed(spoils, arm_bundle):
    data = (arm_bundle / "model.onnx").read_bytes()
    for spoil in spoils:
        data = spoil(data)
    with suppress(ValueError, DecodeError):
        check_onnx(data, operators_of("onnxruntime"))
        assert holds_only_what_is_listed(onnx.load_model_from_string(data))


@given(data=st.binary(max_size=200))
def test_any_bytes_are_refused_with_a_reason_or_accepted(data):
    with suppress(ValueError):
        check_onnx(b"\x08" + data, ())
    with suppress(ValueError):
        checked_ir(b"<net>" + data, 0, ())


@pytest.mark.slow
def test_a_file_of_very_many_fields_ends_soon():
    with pytest.raises(ValueError, match="over 2000000 fields"):
        check_onnx(b"\x08\x00" * 2_000_001, ())


@pytest.mark.parametrize("target", ["arm", "jetson", "openvino"])
def test_what_exports_write_is_accepted(target, tmp_path):
    path = make_bundle(tmp_path / "a.fgir", target=target, looks_twice=True)
    with Classifier.open(path, "cpu") as model:
        assert model(np.full((9, 9, 3), 200, np.uint8)).probabilities.sum() == pytest.approx(1)
