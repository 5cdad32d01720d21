"""A small transformer that keeps fewer tokens, only described."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from edge_fgir.runs import TrainedModel


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
