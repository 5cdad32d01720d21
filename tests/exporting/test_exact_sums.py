"""Sums of two products of bytes fit 16 bits at the steps that weights are given."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import TensorProto, helper, numpy_helper

from edge_fgir.exporting.exact_sums import unclipped_steps
from edge_fgir.exporting.openvino_ir import quantize_ir, run_ir, to_ir
from edge_fgir.exporting.target import NncfScheme

pytestmark = pytest.mark.unit

_Array = npt.NDArray[np.float32]


def largest_sum(rounded: npt.NDArray[Any], axis: int) -> int:
    """Return the largest size that a sum of two neighbouring products can have, by brute force."""
    moved = np.moveaxis(rounded.astype(int), axis, 0)
    most = 0
    for first in range(0, len(moved), 2):
        pair = moved[first : first + 2]
        for activations in ((255, 255), (255, 0), (0, 255)):
            terms = sum(a * w for a, w in zip(activations, pair, strict=False))
            most = max(most, int(np.max(terms)), int(-np.min(terms)))
    return most


def rounded_at(weight: _Array, steps: _Array) -> npt.NDArray[Any]:
    return np.round(weight / steps)


@given(
    weight=arrays.arrays(
        np.float32,
        arrays.array_shapes(min_dims=4, max_dims=4, max_side=6),
        elements=st.floats(-4, 4, width=32),
    ),
)
def test_no_sum_leaves_sixteen_bits_and_no_step_more_than_doubles(weight: _Array) -> None:
    largest = np.abs(weight).max(axis=(1, 2, 3), keepdims=True)
    steps = np.maximum(largest / 127, np.float32(1e-6)).astype(np.float32)
    grown = unclipped_steps(weight, steps, axis=1)
    assert grown.shape == steps.shape
    assert largest_sum(rounded_at(weight, grown), 1) <= 2**15 - 1
    assert (grown >= steps).all()
    assert (grown <= 2.01 * steps).all()
    alone = [largest_sum(rounded_at(w[None], s), 1) for w, s in zip(weight, steps, strict=True)]
    fits = np.array(alone) <= 2**15 - 1
    assert np.array_equal(grown[fits], steps[fits])


@pytest.mark.parametrize(("shape", "steps", "axis"), [((6, 5), (6, 1), -1), ((5, 6), (1, 6), -2)])
def test_matrices_have_their_inputs_on_either_axis(
    shape: tuple[int, int], steps: tuple[int, int], axis: int
) -> None:
    weight = np.full(shape, 1.0, np.float32)
    grown = unclipped_steps(weight, np.full(steps, 1 / 127, np.float32), axis)
    assert grown.shape == steps
    assert np.abs(grown - 2 / 127).max() < 1e-6
    assert largest_sum(rounded_at(weight, grown), axis) <= 2**15 - 1


def test_one_step_for_all_of_a_weight_grows_by_its_worst_pair() -> None:
    weight = np.array([[1.0, 0.0, 1.0, 1.0], [1.0, 0.0, 0.5, -1.0]], np.float32)
    step = np.array(1 / 127, np.float32)
    assert unclipped_steps(weight, step, axis=1) == pytest.approx(np.array([[2 / 127]]))
    assert unclipped_steps(weight[1:], step, axis=1) == np.array([[step]])


def one_layer(weight: _Array) -> onnx.ModelProto:
    """Pixels in, a 1 x 1 convolution, its mean over all places."""
    kernel, channels = weight[:, :, None, None], weight.shape[1]
    wide = np.tile(np.eye(3, dtype=np.float32), (channels // 3, 1))[:, :, None, None] / 255
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "wide"], ["many"], name="first"),
        helper.make_node("Relu", ["many"], ["positive"]),
        helper.make_node("Conv", ["positive", "kernel"], ["sums"], name="second"),
        helper.make_node("ReduceMean", ["sums", "axes"], ["logits"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "one layer",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, (1, 8, 8, 3))],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, (1, len(weight)))],
        [
            numpy_helper.from_array(wide, "wide"),
            numpy_helper.from_array(kernel, "kernel"),
            numpy_helper.from_array(np.array([2, 3]), "axes"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.export
def test_white_pictures_through_large_weights_are_summed_right() -> None:
    """Where VNNI is missing, these sums would be clipped to two thirds."""
    weight = np.tile(np.array([[1.0], [0.9], [-1.0]], np.float32), (4, 24))
    images = np.full((16, 8, 8, 3), 255, np.uint8)
    images[1:] = np.random.default_rng(0).integers(0, 256, (15, 8, 8, 3))
    ir = to_ir(one_layer(weight))
    scheme = NncfScheme(tool="nncf", bias_correction=False, float_first_conv=True)
    wanted, found = run_ir(ir, images), run_ir(quantize_ir(ir, images, scheme), images)
    assert np.abs(wanted[0]).max() == pytest.approx(24, rel=1e-3)
    assert np.abs(found - wanted).max() < 0.02 * 24
