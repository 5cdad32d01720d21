"""What Frigate's custom classification takes, and what its answers are worth.

The contract is written down in docs/frigate.md, with the version of Frigate that it was read from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from edge_fgir._errors import GateError
from edge_fgir._progress import progress
from edge_fgir.data import DataSet
from edge_fgir.evaluation import drop_interval
from edge_fgir.exporting.calibration import Validation
from edge_fgir.exporting.frigate_graph import NONE, SIDE, frigate_model, names_of
from edge_fgir.exporting.graph import Logits
from edge_fgir.exporting.tflite import call_of
from edge_fgir.results import FrigateReport
from edge_fgir.runtime import Calibration, Pixels, Preprocess
from edge_fgir.runtime.runtimes.litert import open_interpreter

FOLDER = "frigate"
_THREADS = 2
_RESIZE = Preprocess(size=SIDE, antialias=False)
"""As OpenCV resizes by default: points are sampled."""


class FrigateAnswer(NamedTuple):
    """What Frigate makes of one picture: a line of ``labelmap.txt``, and its score, 0..1."""

    line: int
    score: float


def frigate_files(
    model: bytes, preprocess: Preprocess, labels: tuple[str, ...], calibration: Calibration
) -> dict[str, bytes]:
    """Return ``frigate/``: model, labels and an example of a configuration.

    Args:
        model: The bundle's TensorFlow Lite file.
        preprocess: How pictures come to its size.
        labels: Class names in the order of the output.
        calibration: Its threshold separates the unknown.
    """
    threshold = calibration.unknown_threshold
    files = {
        "model.tflite": frigate_model(model, preprocess, labels, threshold),
        "labelmap.txt": "".join(f"{name}\n" for name in names_of(labels)).encode(),
        "config.yml": _config(threshold).encode(),
    }
    return {f"{FOLDER}/{name}": data for name, data in files.items()}


def frigate_answers(model: bytes, pictures: Iterable[Pixels]) -> Iterator[FrigateAnswer]:
    """Yield what Frigate would read from ``model`` for each crop, (H, W, 3) ``uint8`` RGB."""
    interpreter = open_interpreter(model, threads=_THREADS)
    for picture in pictures:
        scores = call_of(interpreter, _RESIZE.apply(picture)[None])()[0]
        shares = scores / scores.sum()
        best = int(shares.argmax())
        yield FrigateAnswer(best, round(float(shares[best]), 2))


def compare_frigate(
    model: bytes,
    data: DataSet,
    validation: Validation,
    labels: tuple[str, ...],
    logits: Logits,
    calibration: Calibration,
    bound: float,
) -> FrigateReport:
    """Ask ``frigate/model.tflite`` about the validation pictures as Frigate would.

    What is unknown counts as the answer ``none``, here and there.

    Args:
        model: That file.
        data: Where the pictures are.
        validation: They.
        labels: Class names.
        logits: (N, K) of the bundle on them.
        calibration: The bundle's.
        bound: Points of top-1 that may be lost.

    Raises:
        GateError: More is lost, by all that the pictures can tell.
    """
    with progress("asking as Frigate does", len(validation.samples)) as meter:
        found = []
        for answer in frigate_answers(model, map(data.read, validation.samples)):
            found.append(answer.line)
            meter.advance()
    theirs = np.asarray(found)
    none = names_of(labels).index(NONE)
    probabilities = softmax(logits / calibration.temperature, axis=1)
    is_known = probabilities.max(axis=1) >= calibration.unknown_threshold
    ours = np.where(is_known, probabilities.argmax(axis=1), none)
    before, after = ours == validation.labels, theirs == validation.labels
    report = FrigateReport(
        images=len(theirs),
        bound=bound,
        none_is_a_class=NONE in labels,
        bundle_top1=_percent(before),
        frigate_top1=_percent(after),
        drop_interval=drop_interval(before, after),
        agreement=_percent(ours == theirs),
        bundle_none=_percent(ours == none),
        frigate_none=_percent(theirs == none),
    )
    low, high = report.drop_interval
    if low > bound:
        raise GateError(
            f"gate 'frigate' failed on {report.images} validation images: as Frigate asks, at "
            f"{SIDE} x {SIDE} pixels, top-1 falls by {report.top1_drop:.2f} points "
            f"({low:.2f} to {high:.2f}), expected at most {bound:g}; no bundle was written; "
            "leave out --for frigate or try --max-drop"
        )
    return report


def _percent(flags: npt.NDArray[np.bool_]) -> float:
    return float(100 * flags.mean())


def _config(threshold: float) -> str:
    # Frigate compares scores of two digits.
    lowest = math.floor(100 * threshold) / 100
    return f"""\
# Copy model.tflite and labelmap.txt to /config/model_cache/NAME/ of Frigate, add this to its
# configuration under the same NAME, and start it again. "Train" in Frigate would replace the model.
classification:
  custom:
    NAME:
      # What is below is answered as none, which Frigate drops.
      threshold: {lowest:g}
      object_config:
        objects: [bird]
        classification_type: sub_label
"""
