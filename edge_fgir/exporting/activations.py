"""What calibration images leave on a graph's values; measured once for all schemes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from edge_fgir.exporting.graph import INPUT, session_of
from edge_fgir.runtime import Pixels


@dataclass(frozen=True)
class Activation:
    """One value of a graph over the images.

    Attributes:
        lowest: Of all its numbers.
        highest: Of all its numbers.
        mean: Over the images, in the shape that it has for one of them.
    """

    lowest: np.float32
    highest: np.float32
    mean: npt.NDArray[np.float32]


class Observer:
    """Runs a float32 graph on calibration images and remembers what it saw.

    Args:
        model: The graph; it is left as it is.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self._images: Pixels | None = None
        self._known: dict[str, Activation] = {}

    def of(self, images: Pixels, values: Collection[str]) -> dict[str, Activation]:
        """Return what the values were on ``images`` (N, S, S, 3); those in float32 alone."""
        if images is not self._images:
            self._images, self._known = images, {}
        missing = [value for value in dict.fromkeys(values) if value not in self._known]
        if missing:
            self._known |= _observed(self.model, images, missing)
        return {value: self._known[value] for value in values if value in self._known}


def _observed(
    model: onnx.ModelProto, images: Pixels, values: Collection[str]
) -> dict[str, Activation]:
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    del opened.graph.output[:]
    opened.graph.output.extend(onnx.ValueInfoProto(name=value) for value in values)
    session = session_of(opened)
    first = session.run(None, {INPUT: images[:1]})
    names = [name for name, one in zip(values, first, strict=True) if one.dtype == np.float32]
    lowest = np.full(len(names), np.inf, np.float32)
    highest = -lowest
    sums: list[npt.NDArray[np.float32]] = [
        np.zeros_like(one) for one in first if one.dtype == np.float32
    ]
    for image in images:
        for index, one in enumerate(session.run(names, {INPUT: image[None]})):
            lowest[index] = min(lowest[index], one.min())
            highest[index] = max(highest[index], one.max())
            sums[index] += one
    for total in sums:
        total /= len(images)
    return {
        name: Activation(low, high, mean)
        for name, low, high, mean in zip(names, lowest, highest, sums, strict=True)
    }
