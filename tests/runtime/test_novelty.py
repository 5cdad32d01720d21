import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_fgir.runtime.novelty import FeatureSpace

pytestmark = pytest.mark.unit


def space(axes: int = 3, size: int = 12, seed: int = 0) -> FeatureSpace:
    rng = np.random.default_rng(seed)
    directions, _ = np.linalg.qr(rng.normal(size=(size, axes)))
    center = rng.uniform(0.5, 1.5, size).astype(np.float32)
    return FeatureSpace(center, directions.T.astype(np.float32))


def test_what_lies_in_the_space_is_not_new() -> None:
    known = space()
    inside = known.center + np.random.default_rng(1).normal(size=(5, 3)) @ known.axes
    assert known.novelty(inside.astype(np.float32)) == pytest.approx(0, abs=1e-3)


def test_what_stands_out_of_it_counts_by_its_share_of_the_length() -> None:
    known = space()
    out = np.random.default_rng(2).normal(size=known.center.size)
    out -= out @ known.axes.T @ known.axes
    vector = (known.center + out).astype(np.float32)
    expected = np.linalg.norm(out) / np.linalg.norm(vector)
    assert known.novelty(vector[None])[0] == pytest.approx(expected, rel=1e-4)


@given(st.integers(1, 8), st.integers(0, 100))
def test_novelty_is_never_negative_and_finite_for_finite_features(axes: int, seed: int) -> None:
    features = np.random.default_rng(seed).normal(size=(4, 12)).astype(np.float32)
    features[0] = 0
    values = space(axes, seed=seed).novelty(features)
    assert (values >= 0).all()
    assert np.isfinite(values).all()


def test_a_space_is_read_as_it_was_written() -> None:
    known = space()
    again = FeatureSpace.from_bytes(known.to_bytes(), 12)
    assert again.center == pytest.approx(known.center, abs=1e-3)
    assert again.axes == pytest.approx(known.axes, abs=1e-3)
    assert again.to_bytes() == known.to_bytes()


def written(rows: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, rows, allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"no array", id="no array"),
        pytest.param(written(np.zeros((3, 11), np.float16)), id="another length"),
        pytest.param(written(np.zeros((1, 12), np.float16)), id="no axes"),
        pytest.param(written(np.zeros((3, 12), np.float64)), id="another type"),
        pytest.param(written(np.full((3, 12), np.nan, np.float16)), id="not finite"),
        pytest.param(written(np.array([{}])), id="objects"),
    ],
)
def test_another_file_is_refused(data: bytes) -> None:
    with pytest.raises((ValueError, EOFError)):
        FeatureSpace.from_bytes(data, 12)
