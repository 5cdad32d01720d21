"""A small transformer that keeps fewer tokens, trained for a moment."""

from __future__ import annotations

from pathlib import Path

import pytest
from runs import fitted
from shared import Shared


@pytest.fixture(scope="session")
def vit_run(photos: Path, shared: Shared) -> Path:
    """A finished run: ViTFS-N at 64 px with EViT, elastic over 32 to 64 px."""
    return fitted(
        shared,
        "vit",
        photos,
        name="leaves",
        epochs=2,
        model={"name": "vitfs_nano", "reduction": {"method": "evit"}},
        data={"view_size": 64, "resize_ratio": 1.2, "trivial_augment": False, "workers": 0},
        eval={"image_size": 64, "every_epochs": 2},
        elastic={"image_sizes": [32, 48, 64]},
    )
