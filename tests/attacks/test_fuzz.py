"""A few hundred mutated inputs for every parser; ``make fuzz`` tries ten thousand."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("openvino")
pytest.importorskip("onnx")

from fuzz import fuzz, parsers, published

pytestmark = [
    pytest.mark.export,
    pytest.mark.filterwarnings("ignore::UserWarning:PIL"),
    pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning"),
]


def test_what_is_refused_is_one_line() -> None:
    for title, tally in fuzz(650, seed=1).items():
        assert tally.faults == [], title
        # A picture's own file of labels costs that picture at most.
        assert tally.refused or title == "train/0.xml", title


@pytest.mark.parametrize(
    "title",
    [*("recipes", "sweep files", "IR", "ONNX", "model.json", "results"), *published()],
)
def test_whole_inputs_are_accepted(tmp_path: Path, title: str) -> None:
    inputs, parse = parsers(tmp_path)[title]
    for content in inputs:
        parse(content, tmp_path)
