from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from edge_fgir.data import draw_by_class, open_data
from edge_fgir.exporting.calibration import (
    calibration_set,
    fit_calibration,
    fit_temperature,
)
from edge_fgir.runtime import Preprocess

pytestmark = pytest.mark.unit


def drawn_logits(temperature: float, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are ``temperature`` times too large for their labels."""
    random = np.random.default_rng(0)
    honest = random.normal(0, 1.5, (n, 4))
    labels = np.array([random.choice(4, p=p) for p in softmax(honest, axis=1)])
    return (honest * temperature).astype(np.float32), labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_was_put_in_is_found(temperature: float) -> None:
    logits, labels = drawn_logits(temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)


def test_right_answers_alone_are_not_certain() -> None:
    labels = np.arange(100) % 4
    logits = np.eye(4, dtype=np.float32)[labels] * 2
    probabilities = softmax(logits / fit_temperature(logits, labels), axis=1)
    assert 0.95 < probabilities.max() < 0.999


def test_calibration_lowers_the_error_and_keeps_the_right_answers() -> None:
    logits, labels = drawn_logits(3.0)
    found = fit_calibration(logits, labels, None)
    assert found.ece_before > 10
    assert found.ece_after < 2
    assert found.kept == pytest.approx(0.95, abs=0.01)
    scores = softmax(logits / found.temperature, axis=1)
    right = scores.argmax(1) == labels
    assert (scores.max(1)[right] >= found.unknown_threshold).mean() == pytest.approx(0.95, abs=0.01)


def test_calibration_images_come_evenly_from_train_and_are_hashed(photos: Path) -> None:
    data = open_data(str(photos))
    drawn = draw_by_class(data.split("train"), 9)
    assert sorted(sample.label for sample in drawn) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert {sample.path.parts[-3] for sample in drawn} == {"train"}
    assert drawn == draw_by_class(data.split("train"), 9)
    first, again, other = (calibration_set(data, Preprocess(size=32), n).hash for n in (9, 9, 10))
    assert first == again != other
    assert len(draw_by_class(data.split("train"), 10_000)) == 72
