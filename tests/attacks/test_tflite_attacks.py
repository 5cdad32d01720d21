"""TensorFlow Lite files made to do harm: LiteRT, which follows every offset, never sees them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import make_bundle
from hypothesis import given
from hypothesis import strategies as st

from edge_fgir import Classifier, InputError
from edge_fgir.runtime.formats import check_tflite
from edge_fgir.runtime.formats.tflite_file import OPERATORS
from edge_fgir.runtime.targets import operators_of

pytestmark = pytest.mark.unit
schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
flatbuffers = pytest.importorskip("flatbuffers")


def parsed(bundle: Path) -> Any:
    content = (bundle / "model.tflite").read_bytes()
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))


def packed(model: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def with_custom_operator(model: Any) -> None:
    model.operatorCodes[0].customCode = b"RunThis"


def with_unlisted_operator(model: Any) -> None:
    code = model.operatorCodes[0]
    code.builtinCode, code.deprecatedBuiltinCode = schema.BuiltinOperator.WHILE, 119


def with_two_graphs(model: Any) -> None:
    model.subgraphs.append(schema.SubGraphT())


def with_weights_elsewhere(model: Any) -> None:
    model.buffers[1].offset, model.buffers[1].size = 1 << 40, 4


def with_too_large_a_tensor(model: Any) -> None:
    weights = next(one for one in model.subgraphs[0].tensors if one.buffer)
    weights.shape = [1 << 20]


def with_a_tensor_that_is_not_there(model: Any) -> None:
    model.subgraphs[0].operators[0].inputs = [999]


def with_a_buffer_that_is_not_there(model: Any) -> None:
    model.subgraphs[0].tensors[0].buffer = 999


def with_a_variable(model: Any) -> None:
    model.subgraphs[0].tensors[0].isVariable = True


def with_strings(model: Any) -> None:
    model.subgraphs[0].tensors[0].type = schema.TensorType.STRING


def with_any_size(model: Any) -> None:
    model.subgraphs[0].tensors[0].shapeSignature = [-1, 32, 32, 3]


def with_more_scales_than_channels(model: Any) -> None:
    rule = model.subgraphs[0].tensors[0].quantization = schema.QuantizationParametersT()
    rule.scale, rule.zeroPoint = np.ones(7, np.float32), np.zeros(7, np.int64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_custom_operator, "an? OperatorCode has field 1, which no export writes"),
        (with_unlisted_operator, "operator of code 119 is used, which no target lists"),
        (with_two_graphs, "it has 2 graphs, not one"),
        (with_weights_elsewhere, "a Buffer has field 1, which no export writes"),
        (with_too_large_a_tensor, r"a tensor of type 0 and shape \[1048576\] is of 4 bytes"),
        (with_a_tensor_that_is_not_there, r"index 999 is none of \d+ tensors"),
        (with_a_buffer_that_is_not_there, "a tensor lies in no buffer"),
        (with_a_variable, "a Tensor has field 5, which no export writes"),
        (with_strings, "a tensor is of type 5"),
        (with_any_size, "a tensor's shape is not fixed"),
        (with_more_scales_than_channels, "7 scales and 7 zeros"),
    ],
)
def test_a_file_holds_one_graph_of_listed_operators(
    change: Callable[[Any], None], message: str, litert_bundle: Path, tmp_path: Path
) -> None:
    model = parsed(litert_bundle)
    change(model)
    spoilt = {"model.tflite": packed(model)}
    path = make_bundle(tmp_path / "a.fgir", target="litert", replaced=spoilt)
    with pytest.raises(InputError, match=message) as caught:
        Classifier.open(path)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert "expected a model as edge-fgir exports it" in text


@pytest.fixture(scope="module")
def whole(litert_bundle: Path) -> bytes:
    return (litert_bundle / "model.tflite").read_bytes()


def test_another_format_is_refused(whole: bytes) -> None:
    for content in (b"", b"TFL3", whole[:4] + b"ONNX" + whole[8:]):
        with pytest.raises(ValueError, match="it is no TensorFlow Lite file"):
            check_tflite(content, operators_of("litert"))


def test_a_file_that_is_cut_off_is_refused(whole: bytes) -> None:
    for end in range(8, len(whole) - 64, 7):
        with pytest.raises(ValueError, match=r"cut off|behind the file|outside it"):
            check_tflite(whole[:end], operators_of("litert"))


@given(place=st.integers(min_value=0), value=st.integers(0, 2**32 - 1))
def test_any_change_is_refused_in_words_or_read_within_the_file(
    whole: bytes, place: int, value: int
) -> None:
    place %= len(whole) - 4
    spoilt = whole[:place] + value.to_bytes(4, "little") + whole[place + 4 :]
    # Any other error would show a place that is not checked.
    with suppress(ValueError):
        check_tflite(spoilt, operators_of("litert"))


def test_lists_that_are_shared_a_thousand_times_end_soon(litert_bundle: Path) -> None:
    model = parsed(litert_bundle)
    (graph,) = model.subgraphs
    shared = np.zeros(50_000, np.int32)
    for _ in range(100):
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = 0, shared, [0]
        graph.operators.append(operator)
    with pytest.raises(ValueError, match="over 2000000 shapes and places"):
        check_tflite(packed(model), operators_of("litert"))


def test_operators_are_called_as_the_schema_calls_them() -> None:
    codes = {name: code for name, code in vars(schema.BuiltinOperator).items() if name.isupper()}
    assert {name: codes[name] for name in OPERATORS.values()} == {
        name: code for code, name in OPERATORS.items()
    }
