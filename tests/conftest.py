"""Fixtures that several rooms' tests use."""

from __future__ import annotations

from pathlib import Path

import pytest
from runs import make_folder, photos, teacher_run, tiny_run  # noqa: F401


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sealed OpenVINO bundle that tells red, green and blue apart; copy it to change it."""
    pytest.importorskip("openvino")
    from bundles import make_bundle

    return make_bundle(tmp_path_factory.mktemp("bundles") / "colours.fgir")


@pytest.fixture(scope="session")
def elpv_photos() -> list[Path]:
    """Twelve real photographs of solar cells (300 x 300 grey PNG; CC BY-NC-SA 4.0)."""
    elpv = pytest.importorskip("elpv_dataset")
    folder = Path(elpv.__file__).parent / "data" / "images"
    return sorted(folder.glob("*.png"))[:240:20]
