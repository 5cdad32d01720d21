"""Recipes by role: how long they train follows from the pictures and the processor."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_fgir import InputError
from edge_fgir.runs import LengthSection
from edge_fgir.training import read_recipe

pytestmark = pytest.mark.unit
ROLES = (
    "teacher",
    "student-lrnet14",
    "student-lrnet14d",
    "student-pretrained",
    "student-vitfs_tiny",
)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_becomes_numbers(role: str) -> None:
    recipe = read_recipe(role)
    assert recipe.epochs == 0
    few, many = (recipe.resolved(n, gpu=False, cpus=2) for n in (200, 20_000))
    assert few.length is None
    assert few.epochs > many.epochs >= 1
    assert (few.batch_size, few.data.workers) == (recipe.batch_size, recipe.data.workers)
    assert read_recipe(role, ["length=null", f"epochs={few.epochs}"]).epochs == few.epochs
    fast = recipe.resolved(20_000, gpu=True, cpus=8)
    assert fast.batch_size == recipe.length.gpu_batch
    assert fast.data.workers == 7
    assert fast.optimizer.warmup_steps == round(0.05 * fast.epochs * (20_000 // fast.batch_size))


@given(
    images=st.integers(1, 1_000_000),
    batch=st.integers(1, 256),
    steps=st.integers(1, 100_000),
    bounds=st.tuples(st.integers(1, 400), st.integers(1, 400)),
    gpu=st.booleans(),
)
def test_epochs_stay_within_their_bounds(images, batch, steps, bounds, gpu) -> None:
    length = LengthSection(steps=steps, least_epochs=min(bounds), most_epochs=max(bounds))
    epochs = length.epochs(images, batch, gpu=gpu)
    assert min(bounds) <= epochs <= max(bounds)
    assert length.epochs(images + batch, batch, gpu=gpu) <= epochs


def test_small_sets_get_a_batch_that_they_fill() -> None:
    assert read_recipe("student-lrnet14").resolved(10, gpu=False, cpus=2).batch_size == 10


def test_numbers_stay_as_they_are() -> None:
    recipe = read_recipe("elpv-demo-student")
    assert recipe.resolved(10, gpu=True, cpus=64) is recipe


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("epochs=3", "either epochs or length must be given"),
        ("length=null", "either epochs or length must be given"),
        ("method=probe", "method probe and teacher do not go together|neither epochs nor length"),
    ],
)
def test_a_length_that_is_said_twice_or_not_at_all_is_refused(change, message) -> None:
    with pytest.raises(InputError, match=message):
        read_recipe("student-pretrained", [change])


def test_a_probe_has_no_length_and_needs_weights() -> None:
    assert read_recipe("probe").epochs == 0
    with pytest.raises(InputError, match="neither epochs nor length"):
        read_recipe("probe", ["epochs=2"])
    with pytest.raises(InputError, match="needs a trained network"):
        read_recipe("probe", ["model.weights=random"])


def test_a_run_of_before_a_key_existed_goes_on() -> None:
    recipe = read_recipe("elpv-demo-student")
    older = "\n".join(
        line for line in recipe.dump().splitlines() if not line.startswith(("frozen", "length"))
    )
    assert recipe.changes(older) == []
    assert recipe.model_copy(update={"frozen_norms": True}).changes(older) == ["frozen_norms"]


def test_what_is_set_does_not_follow_from_the_length() -> None:
    changes = ["eval.every_epochs=1", "optimizer.warmup_steps=7", "data.workers=3"]
    recipe = read_recipe("student-lrnet14d", changes).resolved(2000, gpu=True, cpus=8)
    assert (recipe.eval.every_epochs, recipe.optimizer.warmup_steps) == (1, 7)
    assert recipe.data.workers == 3


def test_a_run_goes_on_with_the_numbers_that_it_began_with() -> None:
    recipe = read_recipe("student-lrnet14d")
    begun = recipe.resolved(2000, gpu=False, cpus=2)
    grown = recipe.resolved(3000, gpu=True, cpus=16)
    assert len(grown.changes(begun.dump())) > 2
    assert recipe.resolved_as(begun.dump()).changes(begun.dump()) == []
    assert read_recipe("student-lrnet14d", ["seed=2"]).resolved_as(begun.dump()).changes(
        begun.dump()
    ) == ["seed"]
    fixed = read_recipe("elpv-demo-student")
    assert fixed.resolved_as(begun.dump()) is fixed


def test_a_length_that_leaves_no_epoch_between_warm_up_and_cool_down_is_refused() -> None:
    recipe = read_recipe("teacher", ["optimizer.cooldown_epochs=40"])
    with pytest.raises(InputError, match="40 of cool-down leave none of"):
        recipe.resolved(5000, gpu=False, cpus=2)
