"""A bundle's TensorFlow Lite file as Frigate asks it: other ends.

Frigate hands over 224 x 224 pixels as ``uint8`` and takes ``uint8`` scores, which it divides by
their sum (docs/frigate.md). So the picture is resized in the graph, and scores are rounded there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from edge_fgir._errors import GateError
from edge_fgir.exporting.tflite import operators_in
from edge_fgir.exporting.tflite_edit import Editor
from edge_fgir.runtime import PIL_KERNEL, Preprocess, sample_weights

SIDE = 224
"""Of the picture that Frigate hands over, pixels."""
NONE = "none"
"""Frigate's name for an object of no class."""

NO_BIRD = 964
"""Place of the score that Frigate's bird classification takes for no bird."""

_SCALE = 1 / 256
_STEEP = 1e6
"""A score that is a millionth below the threshold is unknown as a whole."""


@dataclass(frozen=True)
class Scores:
    """What the scores are of that Frigate reads, by their place.

    Attributes:
        sources: Of each, the class: its place among the bundle's labels; None: of nothing.
        none: The score of an object of no class.
    """

    sources: tuple[int | None, ...]
    none: int

    @classmethod
    def custom(cls, labels: tuple[str, ...]) -> Scores:
        """Return those of a custom classification: the labels, and ``none`` if it is not one."""
        classes = range(len(labels))
        if NONE in labels:
            return cls(tuple(classes), labels.index(NONE))
        return cls((*classes, None), len(labels))

    @classmethod
    def bird(cls, labels: tuple[str, ...]) -> Scores:
        """Return those of the bird classification: 965 or more, with no bird at 964."""
        birds = [place for place, label in enumerate(labels) if label != NONE]
        before: list[int | None] = [*birds[:NO_BIRD]]
        before += [None] * (NO_BIRD - len(before))
        none = labels.index(NONE) if NONE in labels else None
        return cls((*before, none, *birds[NO_BIRD:]), NO_BIRD)


def frigate_model(
    content: bytes, preprocess: Preprocess, scores: Scores, classes: int, threshold: float
) -> bytes:
    """Return a file that takes (1, 224, 224, 3) ``uint8`` and gives (1, K) ``uint8`` scores.

    Args:
        content: A bundle's file, from ``uint8`` pixels of its own size to probabilities.
        preprocess: How pictures come to that size.
        scores: What they are of; K are asked for.
        classes: That the bundle tells apart.
        threshold: Of the likeliest class; below it the answer is that of no class, and nothing
            else.

    Raises:
        GateError: The file does not begin as one of an export does.
    """
    editor = Editor(content)
    editor.give_one()
    _give_float_weights(editor)
    _take_any_size(editor, axis_weights(preprocess))
    _give_scores(editor, scores, classes, threshold)
    return editor.written()


def axis_weights(preprocess: Preprocess) -> np.ndarray:
    """Return (size, 224): what each of Frigate's pixels along an axis adds to each of ours.

    Resizing is linear, so its answers to single bright pixels say all of it. Means of blocks, which
    only inputs of up to 81 pixels read here, are taken to be what the kernel makes of every pixel.
    """
    if preprocess.view_size is not None:
        first = axis_weights(preprocess.first_step)
        second = sample_weights(preprocess.view_size, preprocess.size)
        both: np.ndarray = (second @ first).astype(np.float32)
        return both
    side = round(preprocess.size / preprocess.crop_fraction)
    start = (side - preprocess.size) // 2
    kernel = PIL_KERNEL[preprocess.kernel]
    if preprocess.antialias:
        image = Image.fromarray(np.eye(SIDE, dtype=np.float32))
        answers = np.asarray(image.resize((side, SIDE), kernel))
    else:  # points are sampled; two pixels more, as Pillow paints black what is outside
        edge = 2
        image = Image.fromarray(
            np.pad(np.eye(SIDE, dtype=np.float32), ((0, 0), (edge, edge)), "edge")
        )
        affine = (SIDE / side, 0, edge, 0, 1, 0)
        answers = np.asarray(image.transform((side, SIDE), Image.Transform.AFFINE, affine, kernel))
    weights: np.ndarray = answers.T[start : start + preprocess.size]
    return np.ascontiguousarray(weights)


def _give_float_weights(editor: Editor) -> None:
    """Turn weights into float where only they are rounded, not what the layer reads.

    Where these have one scale a channel, ``tflite_runtime`` 2.14 answers wrongly without an error.
    """
    types, tensors = editor.schema.TensorType, editor.graph.tensors
    for one in operators_in(editor.model):
        if not one.is_layer or tensors[one.inputs[0]].type != types.FLOAT32:
            continue
        weights = tensors[one.inputs[1]]
        if weights.type != types.INT8:
            continue
        values = np.frombuffer(bytes(editor.model.buffers[weights.buffer].data), np.int8)
        rule = weights.quantization
        scales = np.asarray(rule.scale, np.float32)
        by_channel = [1] * len(weights.shape)
        by_channel[rule.quantizedDimension or 0] = len(scales)
        real = values.reshape(weights.shape).astype(np.float32) * scales.reshape(by_channel)
        weights.buffer = editor.buffer(real)
        weights.type, weights.quantization = types.FLOAT32, None


def _take_any_size(editor: Editor, weights: np.ndarray) -> None:
    """Resize the picture by two products, one an axis, in the place of the cast to float."""
    graph = editor.graph
    size = len(weights)
    (image,) = graph.inputs
    first, *others = graph.operators
    if image not in first.inputs or operators_in(editor.model)[0].kind != "CAST":
        raise GateError(
            "the LiteRT file does not begin with a cast of the picture, which Frigate's file "
            "replaces; no bundle was written; this is an error of the export, please report it"
        )
    if np.array_equal(weights, np.eye(SIDE)):
        return
    graph.tensors[image].shape = [1, SIDE, SIDE, 3]
    graph.tensors[image].shapeSignature = None
    graph.operators = []
    matrix = editor.constant("resize", weights.astype(np.float32))
    nothing = editor.constant("resize_bias", np.zeros(size, np.float32))
    pixels = editor.value("pixels", [1, SIDE, SIDE, 3])
    editor.add("CAST", [image], pixels, editor.options("Cast"))
    rows = _transposed(editor, pixels, [1, SIDE, SIDE, 3], (0, 1, 3, 2))
    narrow = editor.value("narrow", [SIDE * 3, size])
    product = editor.options("FullyConnected")
    editor.add("FULLY_CONNECTED", [rows, matrix, nothing], narrow, product)
    narrow = _reshaped(editor, narrow, [1, SIDE, 3, size])
    columns = _transposed(editor, narrow, [1, SIDE, 3, size], (0, 2, 3, 1))
    small = editor.value("small", [3 * size, size])
    editor.add("FULLY_CONNECTED", [columns, matrix, nothing], small, product)
    small = _reshaped(editor, small, [1, 3, size, size])
    order = editor.constant("to_interleaved", np.asarray([0, 3, 2, 1], np.int32))
    editor.add("TRANSPOSE", [small, order], first.outputs[0], editor.options("Transpose"))
    graph.operators += others


def _transposed(editor: Editor, place: int, shape: list[int], order: tuple[int, ...]) -> int:
    axes = editor.constant("order", np.asarray(order, np.int32))
    made = editor.value("transposed", [shape[axis] for axis in order])
    return editor.add("TRANSPOSE", [place, axes], made, editor.options("Transpose"))


def _reshaped(editor: Editor, place: int, shape: list[int]) -> int:
    sides = editor.constant("shape", np.asarray(shape, np.int32))
    options = editor.options("Reshape", newShape=shape)
    return editor.add("RESHAPE", [place, sides], editor.value("reshaped", shape), options)


def _give_scores(editor: Editor, scores: Scores, classes: int, threshold: float) -> None:
    """Turn probabilities into scores: of no class alone where none reaches the threshold."""
    size, place = len(scores.sources), editor.graph.outputs[0]
    number = np.asarray([[1]], np.float32)
    add, multiply, subtract = (editor.options(name) for name in ("Add", "Mul", "Sub"))

    def value(name: str, size: int = 1) -> int:
        return editor.value(name, [1, size])

    best, axis = value("best"), editor.constant("classes", np.asarray([1], np.int32))
    editor.add("REDUCE_MAX", [place, axis], best, editor.options("Reducer", keepDims=True))
    wanted = editor.constant("threshold", number * np.float32(threshold))
    short = editor.add("SUB", [wanted, best], value("short"), subtract)
    steep = editor.constant("steep", number * np.float32(_STEEP))
    steeper = editor.add("MUL", [short, steep], value("steeper"), multiply)
    missing = editor.add("RELU", [steeper], value("missing"))
    one = editor.constant("one", number)
    unknown = value("unknown")
    editor.add("MINIMUM", [missing, one], unknown, editor.options("MaximumMinimum"))
    known = editor.add("SUB", [one, unknown], value("known"), subtract)
    place = _arranged(editor, place, scores, classes)
    kept = editor.add("MUL", [place, known], value("kept", size), multiply)
    is_none = np.zeros((1, size), np.float32)
    is_none[0, scores.none] = 1
    mask = editor.constant("is_none", is_none)
    nothing = editor.add("MUL", [unknown, mask], value("nothing", size), multiply)
    last = editor.add("ADD", [kept, nothing], value("scores", size), add)
    rounded = editor.value("rounded_scores", [1, size], "uint8")
    rule = editor.schema.QuantizationParametersT()
    rule.scale, rule.zeroPoint = [_SCALE], [0]
    editor.graph.tensors[rounded].quantization = rule
    editor.add("QUANTIZE", [last], rounded, editor.options("Quantize"))
    editor.give(rounded)


def _arranged(editor: Editor, place: int, scores: Scores, classes: int) -> int:
    """Bring probabilities to the places of the scores; those of nothing are 0."""
    size, order = len(scores.sources), [*range(classes)]
    if None in scores.sources:
        behind = editor.constant("behind", np.asarray([[0, 0], [0, 1]], np.int32))
        padded = editor.value("padded", [1, classes + 1])
        place = editor.add("PAD", [place, behind], padded, editor.options("Pad"))
        order.append(classes)
    wanted = [classes if source is None else source for source in scores.sources]
    if wanted == order:
        return place
    places = editor.constant("places", np.asarray(wanted, np.int32))
    arranged = editor.value("arranged", [1, size])
    return editor.add("GATHER", [place, places], arranged, editor.options("Gather", axis=1))
