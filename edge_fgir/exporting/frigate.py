"""What Frigate's custom and bird classification take, and what their answers are worth.

The contract is written down in docs/frigate.md, with the version of Frigate that it was read from.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from edge_fgir._errors import GateError
from edge_fgir._progress import progress
from edge_fgir.data import DataSet
from edge_fgir.evaluation import FRIGATE, Labels, Visits, drop_interval
from edge_fgir.exporting.calibration import Validation
from edge_fgir.exporting.frigate_graph import NONE, SIDE, Scores, frigate_model
from edge_fgir.exporting.graph import Logits
from edge_fgir.exporting.tflite import call_of
from edge_fgir.results import FrigateClass, FrigateReport
from edge_fgir.runtime import Calibration, Pixels, Preprocess
from edge_fgir.runtime.runtimes.litert import open_interpreter

FOLDER, BIRD = "frigate", "frigate-bird"
"""The folder of its files; and, as ``--for`` has it, its bird classification."""
_THREADS = 2
_RESIZE = Preprocess(size=SIDE, antialias=False)
"""As OpenCV resizes by default: points are sampled."""


class FrigateAnswer(NamedTuple):
    """What Frigate makes of one picture: a line of ``labelmap.txt``, and its score, 0..1."""

    line: int
    score: float


def scores_of(labels: tuple[str, ...], program: str) -> Scores:
    """Return what the scores are of that a program reads: ``frigate`` or ``frigate-bird``."""
    return Scores.bird(labels) if program == BIRD else Scores.custom(labels)


def frigate_files(
    model: bytes,
    preprocess: Preprocess,
    labels: tuple[str, ...],
    calibration: Calibration,
    program: str = FOLDER,
) -> dict[str, bytes]:
    """Return ``frigate/``: model, labels and an example of a configuration.

    Args:
        model: The bundle's TensorFlow Lite file.
        preprocess: How pictures come to its size.
        labels: Class names in the order of the output.
        calibration: Its threshold separates the unknown.
        program: ``frigate`` or ``frigate-bird``.
    """
    threshold, scores = calibration.unknown_threshold, scores_of(labels, program)
    made = frigate_model(model, preprocess, scores, len(labels), threshold)
    if program == BIRD:
        lines = [_bird_line(labels, scores, place) for place in range(len(scores.sources))]
        files = {"bird.tflite": made, "birdmap.txt": "".join(lines).encode()}
        example = _BIRD_CONFIG
    else:
        names = [NONE if source is None else labels[source] for source in scores.sources]
        text = "".join(f"{name}\n" for name in names)
        files = {"model.tflite": made, "labelmap.txt": text.encode()}
        example = _CONFIG
    # Frigate compares scores of two digits.
    config = example.format(threshold=f"{math.floor(100 * threshold) / 100:g}")
    return {f"{FOLDER}/{name}": data for name, data in files.items()} | {
        f"{FOLDER}/config.yml": config.encode()
    }


def _bird_line(labels: tuple[str, ...], scores: Scores, place: int) -> str:
    """Return a line of ``birdmap.txt``: what is between its first brackets is the name."""
    source = scores.sources[place]
    if place == scores.none or source is None:
        return "(background)\n"
    return f"({labels[source].replace('(', '[').replace(')', ']')})\n"


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
    program: str = FOLDER,
) -> FrigateReport:
    """Ask Frigate's file about the validation pictures as Frigate would.

    What is unknown counts as the answer ``none``, here and there.

    Args:
        model: That file.
        data: Where the pictures are.
        validation: They.
        labels: Class names.
        logits: (N, K) of the bundle on them.
        calibration: Of the bundle where it goes by the score alone, as that file does.
        bound: Points of top-1 that may be lost.
        program: ``frigate`` or ``frigate-bird``.

    Raises:
        GateError: More is lost, by all that the pictures can tell.
    """
    with progress("asking as Frigate does", len(validation.samples)) as meter:
        found = []
        for answer in frigate_answers(model, map(data.read, validation.samples)):
            found.append(answer.line)
            meter.advance()
    scores = scores_of(labels, program)
    none = labels.index(NONE) if NONE in labels else len(labels)
    class_of = np.asarray([none if source is None else source for source in scores.sources])
    theirs = class_of[found]
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
        classes=_by_class(
            labels,
            data.counts("train"),
            validation.labels,
            theirs,
            Visits(FRIGATE, lenient=True).numbers(data, validation.samples),
        ),
    )
    low, high = report.drop_interval
    if low > bound:
        raise GateError(
            f"gate '{program}' failed on {report.images} validation images: as Frigate asks, at "
            f"{SIDE} x {SIDE} pixels, top-1 falls by {report.top1_drop:.2f} points "
            f"({low:.2f} to {high:.2f}), expected at most {bound:g}; no bundle was written; "
            f"leave out --for {program} or try --max-drop"
        )
    return report


def _by_class(
    labels: tuple[str, ...],
    train: Sequence[int],
    wanted: Labels,
    found: Labels,
    visits: Labels,
) -> tuple[FrigateClass, ...]:
    """Return what is answered to the pictures of each class."""
    names = (*labels, NONE)
    classes = []
    for place, name in enumerate(labels):
        answers = found[wanted == place]
        others = Counter(names[each] for each in answers.tolist() if each != place)
        classes.append(
            FrigateClass(
                name=name,
                train=train[place],
                images=len(answers),
                right=int((answers == place).sum()),
                visits=len(np.unique(visits[wanted == place])),
                taken_for=dict(others.most_common()),
            )
        )
    return tuple(classes)


def _percent(flags: npt.NDArray[np.bool_]) -> float:
    return float(100 * flags.mean())


_CONFIG = """\
# Copy model.tflite and labelmap.txt to /config/model_cache/NAME/ of Frigate, add this to its
# configuration under the same NAME, and start it again. "Train" in Frigate would replace the model.
classification:
  custom:
    NAME:
      # What is below is answered as none, which Frigate drops.
      threshold: {threshold}
      object_config:
        objects: [bird]
        classification_type: sub_label
"""
_BIRD_CONFIG = """\
# Copy bird.tflite and birdmap.txt over those in /config/model_cache/bird/ of Frigate, add this to
# its configuration, and start it again.
classification:
  bird:
    enabled: true
    # What is below is answered as no bird.
    threshold: {threshold}
"""
