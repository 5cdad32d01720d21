"""A bundle as a predictor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_fgir._progress import progress
from edge_fgir.data import DataSet
from edge_fgir.evaluation.accuracy import Floats
from edge_fgir.evaluation.shots import known_counts
from edge_fgir.results import EvaluatedModel
from edge_fgir.runtime import Classifier, Pixels, Preprocess


@dataclass(frozen=True)
class BundlePredictor:
    """An open bundle, as :func:`edge_fgir.evaluation.evaluate` takes it.

    Attributes:
        classifier: The open bundle.
    """

    classifier: Classifier

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the outputs."""
        return self.classifier.labels

    @property
    def preprocess(self) -> Preprocess:
        """What makes a picture an input."""
        return self.classifier.bundle.preprocess

    @property
    def subject(self) -> EvaluatedModel:
        """The bundle and the runtime that answers, as results describe them."""
        info = {k: v for k, v in self.classifier.info.items() if k != "classes"}
        return EvaluatedModel(**info, model_bytes=self.classifier.bundle.model_size)

    def train_counts(self, data: DataSet) -> tuple[int, ...]:
        """Return the training pictures of each class that the bundle's report names."""
        return known_counts(self.classifier.bundle)

    def probabilities(self, images: Pixels, title: str = "classifying") -> Floats:
        """Return (N, K) for prepared pictures (N, S, S, 3), asked one by one."""
        answers = []
        with progress(title, len(images)) as meter:
            for image in images:
                answers.append(self.classifier.infer(image[None]))
                meter.advance()
        return np.concatenate(answers)
