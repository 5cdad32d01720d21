"""How accurate a run's weights are at a setting: measured on the validation split, and kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import FiniteFloat, TypeAdapter

from edge_fgir._files import sha256, write_json
from edge_fgir._progress import progress
from edge_fgir._refusal import stored
from edge_fgir.data import DataSet, labels_of, prepared_images, typical_images
from edge_fgir.evaluation import top_k, wilson_interval
from edge_fgir.models import Setting
from edge_fgir.results import TopOne
from edge_fgir.runs import Run, RunPredictor
from edge_fgir.runtime import Pixels, Preprocess

FILE = "accuracies.json"
_DIGITS = 16


_KEPT = TypeAdapter(dict[str, FiniteFloat])


class Accuracies:
    """Measures settings of a run's weights in torch, each once.

    Args:
        run: A finished run folder.
        data: Its data set.
        folder: Where answers are kept; those of other weights or data are not found.
    """

    def __init__(self, run: Path, data: DataSet, folder: Path) -> None:
        self._run, self._data = Run.open(run), data
        self._file = folder / FILE
        self._known = stored(_KEPT, self._file, {})
        described = self._run.description.model_dump_json()
        self._seal = f"{self._run.weights_hash} {described} {data.info.hash}"
        self._labels = labels_of(data.split("val"))
        self._read: dict[Preprocess, tuple[Pixels, Pixels]] = {}

    @property
    def images(self) -> int:
        """How many pictures the validation split has."""
        return len(self._labels)

    def of(self, settings: Sequence[Setting]) -> list[TopOne]:
        """Return the accuracies of settings."""
        missing = [each for each in dict.fromkeys(settings) if self._key(each) not in self._known]
        if missing:
            with progress("accuracy on the validation split", len(missing)) as meter:
                # Pictures of one size are read once and forgotten with the next.
                for setting in sorted(missing, key=lambda each: each.image_size):
                    self._known[self._key(setting)] = self._measure(setting)
                    write_json(self._file, self._known)
                    meter.advance()
        return [top_one(self._known[self._key(each)], self.images) for each in settings]

    def _measure(self, setting: Setting) -> float:
        run = self._run.at(setting)
        predictor = RunPredictor(run, run.load(lambda preprocess: self._pictures(preprocess)[0]))
        images = self._pictures(predictor.preprocess)[1]
        return top_k(predictor.probabilities(images, "torch"), self._labels, 1)

    def _pictures(self, preprocess: Preprocess) -> tuple[Pixels, Pixels]:
        """Return training and validation pictures of a size."""
        if preprocess not in self._read:
            self._read.clear()
            self._read[preprocess] = (
                typical_images(self._data, preprocess),
                prepared_images(self._data, self._data.split("val"), preprocess),
            )
        return self._read[preprocess]

    def _key(self, setting: Setting) -> str:
        return sha256(f"{self._seal} {json.dumps(setting)}".encode())[:_DIGITS]


def top_one(top1: float, images: int) -> TopOne:
    """Return a top-1 accuracy on so many images, with its interval."""
    low, high = wilson_interval(top1, images)
    return TopOne(top1=top1, low=low, high=high)
