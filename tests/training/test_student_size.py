"""A network learns from the pixels that evaluation and the device make of the same picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from edge_fgir import InputError
from edge_fgir.runs import Recipe
from edge_fgir.runtime import Preprocess
from edge_fgir.training.student_size import to_student_size

pytestmark = pytest.mark.unit

SIDE, SIZE = 160, 64
WAYS: dict[str, dict[str, Any]] = {
    "bilinear": {"kernel": "bilinear"},
    "bicubic": {"kernel": "bicubic"},
    "points": {"kernel": "bilinear", "antialias": False},
    "two steps": {"kernel": "bilinear", "view_size": SIDE},
}


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def learned(picture: np.ndarray, preprocess: Preprocess) -> Tensor:
    """What training makes of a crop, (S, S, 3), in grey levels."""
    images = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    return to_student_size(images, preprocess)[0].permute(1, 2, 0)


@pytest.mark.parametrize("way", WAYS)
def test_training_sees_what_evaluation_makes_of_the_same_crop(
    way: str, picture: np.ndarray
) -> None:
    preprocess = Preprocess(size=SIZE, **WAYS[way])
    judged = torch.tensor(preprocess.apply(picture)).float()
    # Rounding to 8 bits, twice where each axis is resized by itself; points drop digits.
    apart = (learned(picture, preprocess).clamp(0, 255) - judged).abs()
    assert apart.max() <= 2
    assert apart.mean() < 0.7


def test_the_papers_way_is_bicubic_without_antialias(picture: np.ndarray) -> None:
    images = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    wanted = F.interpolate(images, (SIZE, SIZE), mode="bicubic", align_corners=False)
    found = learned(picture, Preprocess(size=SIZE, kernel="bilinear", view_size=SIDE))
    assert torch.equal(found, wanted[0].permute(1, 2, 0))


def test_a_picture_of_the_right_side_is_left_alone(picture: np.ndarray) -> None:
    found = learned(picture, Preprocess(size=SIDE))
    assert torch.equal(found, torch.from_numpy(picture).float())


def recipe(**section: Any) -> Recipe:
    values = {"name": "small", "method": "ce", "epochs": 1, "model": {"name": "lrnet14"}}
    return Recipe.model_validate({**values, "eval": {"image_size": SIZE, **section}})


def test_a_recipe_takes_two_steps_only_where_it_says_so() -> None:
    assert recipe().preprocess.view_size is None
    assert recipe(two_steps=True).preprocess.view_size == recipe().data.view_size
    with pytest.raises((InputError, ValueError), match=r"two_steps needs eval\.antialias"):
        recipe(two_steps=True, antialias=False)
