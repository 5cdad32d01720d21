"""A model that answers no numbers: each command says so in one line; none takes them for scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import make_bundle
from PIL import Image

pytest.importorskip("openvino")

pytestmark = pytest.mark.unit

NAMES = ("1 red", "2 green", "3 blue")


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A sealed bundle whose weights are no numbers."""
    weights = np.frombuffer((tiny_bundle / "openvino/model.bin").read_bytes(), np.float32).copy()
    weights[(np.abs(weights) > 1e-6) & (np.abs(weights) < 1e6)] = np.nan
    replaced = {"openvino/model.bin": weights.tobytes()}
    return make_bundle(tmp_path / "nan.fgir", labels=NAMES, replaced=replaced)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for split in ("train", "test"):
        for name in NAMES:
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for number in range(8):
                Image.new("RGB", (32, 32), "red").save(
                    tmp_path / "data" / split / name / f"{number}.png"
                )
    return tmp_path / "data"


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_predict(run_cli: Callable[..., Any], bundle: Path, photos: Path, options: Any) -> None:
    done = run_cli("predict", bundle, photos / "test", *options)
    assert done.code == 1
    assert "nan.fgir answers nan; expected probabilities; run: edge-fgir verify" in done.err
    assert not options or "nan" in done.json[0]["error"]


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_eval(run_cli: Callable[..., Any], bundle: Path, photos: Path, options: Any) -> None:
    done = run_cli("eval", bundle, "--data", photos, *options)
    assert done.code == 2
    assert "answers no numbers on 24 of 24 pictures" in done.err


def test_verify(run_cli: Callable[..., Any], bundle: Path) -> None:
    done = run_cli("verify", bundle, "--json")
    assert done.code == 1
    assert not done.json["ok"]


def test_camera(run_cli: Callable[..., Any], bundle: Path, photos: Path) -> None:
    done = run_cli("camera", bundle, "--source", photos / "test")
    assert done.code in (1, 2)
    assert "answers nan" in done.err
    assert "Traceback" not in done.err
