"""Bundles that were exported before runtimes were objects and model files were looked through.

``version_1`` holds INT8 bundles of timm's test_byobnet at 32 px, which tells three kinds of
generated leaves apart, exported at commit 333950f.
"""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edge_fgir as ef

FOLDER = Path(__file__).parent / "version_1"
LIBRARIES = {"openvino": "openvino", "arm": "onnxruntime", "jetson": "onnxruntime"}


def numbers(text: str) -> list[int]:
    """Return the leading numbers of a version."""
    return [int(part) for part in re.findall(r"\d+", text)[:3]]


@pytest.mark.parametrize("target", LIBRARIES)
def test_a_bundle_of_the_version_before_answers_as_it_did(target: str) -> None:
    library, bundle = LIBRARIES[target], ef.Bundle(FOLDER / target)
    exported_with = bundle.manifest.versions[library]
    try:
        installed = version(library)
    except PackageNotFoundError:
        pytest.skip(f"{library} is not installed")
    if numbers(installed) < numbers(exported_with):
        pytest.skip(f"exported with {library} {exported_with}; {installed} is older")
    device = "cpu" if target == "jetson" else "auto"
    checks = list(ef.verify(FOLDER / target, device))
    assert len(checks) > 2
    assert all(check.ok for check in checks), checks
    with ef.Classifier.open(FOLDER / target, device) as model:
        assert model.labels == ("green_leaf", "red_leaf", "striped_leaf")
        for golden in bundle.golden.images:
            result = model(Image.open(FOLDER / target / "golden" / golden.file))
            expected = np.asarray(golden.probabilities)
            assert result.index == expected.argmax()
            assert np.abs(result.probabilities - expected).max() <= bundle.golden.tolerance
