"""Recipes by role, filled in for a candidate."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from edge_fgir.fitting.networks import FROM_SCRATCH, PRETRAINED, TEACHER, Candidate
from edge_fgir.fitting.recipes import Guide, Recipes

pytestmark = pytest.mark.unit

LITE0, OWN = Candidate(PRETRAINED[0], 160), Candidate(FROM_SCRATCH[0], 96)
GUIDE = Guide(Path("runs/teacher"), 256)


def test_a_pretrained_network_is_fine_tuned_with_its_own_statistics() -> None:
    recipes = Recipes(1600, balanced=False)
    alone = recipes.training(LITE0, 10, start=Path("head.safetensors"), guide=None)
    assert (alone.method, alone.frozen_norms, alone.epochs) == ("ce", True, 10)
    assert (alone.model.weights, alone.eval.image_size) == ("head.safetensors", 160)
    assert (alone.data.view_size, alone.data.mean) == (160, (0.5, 0.5, 0.5))
    assert alone.interpolation
    guided = recipes.training(LITE0, 10, start=None, guide=GUIDE)
    assert not guided.interpolation  # its head is new: near the start it knows nothing
    assert (guided.method, guided.model.weights) == ("kd", "efficientnet-lite0")
    assert (guided.data.view_size, guided.eval.image_size) == (256, 160)


@pytest.mark.parametrize("start", [None, Path("cal.safetensors")])
def test_a_teacher_learns_by_its_own_method(start: Path | None) -> None:
    recipe = Recipes(1600, balanced=False).training(
        Candidate(TEACHER, 128), 4, start=start, guide=None
    )
    assert (recipe.method, recipe.model.attention_maps, recipe.teacher) == ("cal", 32, None)
    assert recipe.model.weights == str(start or "efficientnet-lite0")
    assert (recipe.data.view_size, recipe.eval.image_size, recipe.epochs) == (128, 128, 4)
    assert not recipe.interpolation  # its attention has statistics of its own, which learn


def test_few_steps_are_small_ones() -> None:
    def rate(epochs: int) -> float:
        recipe = Recipes(1600, balanced=False).training(LITE0, epochs, start=None, guide=None)
        assert recipe.optimizer.min_lr < recipe.optimizer.lr
        return recipe.optimizer.lr

    assert rate(1) == pytest.approx(5e-4 / 4)
    assert rate(4) == rate(40) == 5e-4
    few = Recipes(16, balanced=False).training(LITE0, 1, start=None, guide=None)
    assert few.optimizer.lr == 2e-5


def test_an_own_network_learns_by_views() -> None:
    recipe = Recipes(1600, balanced=False).training(OWN, 2, start=None, guide=GUIDE)
    assert (recipe.method, recipe.model.weights) == ("tgda", "random")
    assert recipe.teacher is not None
    assert recipe.teacher.cache_variants == 2
    assert not recipe.frozen_norms


def test_rare_classes_are_asked_for_as_much() -> None:
    for candidate in (LITE0, OWN):
        recipe = Recipes(1600, balanced=True).training(candidate, 2, start=None, guide=None)
        assert recipe.loss.classification == "balanced_softmax"
    assert Recipes(1600, balanced=True).probe(LITE0).loss.classification == "balanced_softmax"


def test_a_keep_rate_is_in_the_network() -> None:
    candidate = Candidate(FROM_SCRATCH[2], 160, 0.5)
    recipe = Recipes(1600, balanced=False).training(candidate, 2, start=None, guide=GUIDE)
    assert recipe.model.reduction is not None
    assert recipe.model.reduction.keep_rate == 0.5
    assert candidate.setting.keep_rate == 0.5


def test_a_handful_of_pictures_fills_a_batch() -> None:
    recipes = Recipes(9, balanced=False)
    assert (recipes.batch, recipes.steps_per_epoch) == (4, 2)
