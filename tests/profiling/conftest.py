"""A small transformer that keeps fewer tokens: trained for a moment, and only described."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from runs import fitted
from shared import Shared

if TYPE_CHECKING:
    from edge_fgir.runs import TrainedModel


@pytest.fixture(scope="session")
def vit_run(photos: Path, shared: Shared) -> Path:
    """A finished run: a ViT of four blocks at 64 px with EViT, elastic over 32 to 64 px."""
    return fitted(
        shared,
        "vit",
        photos,
        name="leaves",
        epochs=2,
        model={
            "name": "vit_tiny_patch16_224",
            "options": {"depth": 4, "embed_dim": 48, "dynamic_img_size": True},
            "reduction": {"method": "evit", "blocks": [1, 2]},
        },
        data={"view_size": 64, "resize_ratio": 1.2, "trivial_augment": False, "workers": 0},
        eval={"image_size": 64, "every_epochs": 2},
        elastic={"image_sizes": [32, 48, 64]},
    )


@pytest.fixture(scope="session")
def vitfs() -> TrainedModel:
    """What a run of ViTFS-N at 64 px with EViT, elastic over 32 to 64 px, says of itself."""
    pytest.importorskip("torch")
    from edge_fgir.runs import TrainedModel

    return TrainedModel.model_validate(
        {
            "name": "leaves",
            "network": {"name": "vitfs_nano", "reduction": {"method": "evit"}},
            "num_classes": 3,
            "normalization": {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)},
            "preprocess": {"size": 64},
            "elastic_sizes": (32, 48, 64),
            "data": {"name": "leaves", "licence": "unknown", "hash": "0" * 64},
        }
    )
