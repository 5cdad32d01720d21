from pathlib import Path

import pytest
from runs import write_recipe

from edge_fgir import InputError, _resources
from edge_fgir.training import read_recipe

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", _resources.names("recipes"))
def test_every_shipped_recipe_is_valid_and_says_what_it_is_for(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.name == name
    assert recipe.about


def test_defaults_are_the_papers() -> None:
    recipe = read_recipe("elpv-demo-student", ["data={}", "eval={}", "optimizer={}", "loss={}"])
    assert (recipe.optimizer.lr, recipe.optimizer.weight_decay) == (5e-4, 0.05)
    assert (recipe.optimizer.min_lr, recipe.optimizer.warmup_steps) == (1e-5, 500)
    assert (recipe.optimizer.warmup_lr, recipe.optimizer.clip_norm) == (1e-6, 1.0)
    assert (recipe.loss.temperature, recipe.loss.kd_weight) == (0.7, 1.0)
    assert recipe.loss.kd_t2_scaling
    assert (recipe.data.view_size, int(recipe.data.view_size * recipe.data.resize_ratio)) == (
        448,
        600,
    )
    assert recipe.teacher is not None
    assert (recipe.teacher.mode, recipe.teacher.cache_variants) == ("hybrid", 0)
    assert not recipe.teacher.joint_forward
    assert recipe.views == ("crop", "drop")
    assert recipe.elastic is None


def test_a_dumped_recipe_reads_back(tmp_path: Path) -> None:
    recipe = read_recipe("elpv-demo-student", ["optimizer.lr=1e-3", "epochs=7"])
    (tmp_path / "r.yaml").write_text(recipe.dump())
    assert read_recipe(str(tmp_path / "r.yaml")) == recipe
    assert (recipe.optimizer.lr, recipe.epochs) == (1e-3, 7)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.lrr=1", r"unknown key optimizer\.lrr; expected lr"),
        ("epoch=1", r"unknown key epoch; expected epochs"),
        ("teacher.modes=eval", r"unknown key teacher\.modes; expected mode"),
        ("optimizer.lr=-1", r"optimizer\.lr: .*greater than 0"),
        ("optimizer.lr=nan", r"optimizer\.lr: "),
        ("method=cal", r"method cal and teacher do not go together"),
        ("epochs", r"--set epochs; expected key=value"),
        ("epochs.deep=1", r"--set epochs\.deep=1: epochs is a value"),
        ("epochs=[", r"--set epochs=\[ is not YAML"),
    ],
)
def test_wrong_keys_and_values_are_named(override: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_recipe("elpv-demo-student", [override])
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_names_its_neighbours() -> None:
    with pytest.raises(InputError, match=r"no recipe 'elpv-demo-studnt'.*elpv-demo-student"):
        read_recipe("elpv-demo-studnt")


@pytest.mark.parametrize("text", ["- a\n", "a: [", "\x80"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"r\.yaml"):
        read_recipe(str(tmp_path / "r.yaml"))


def test_cal_needs_attention_maps(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="attention_maps"):
        read_recipe(str(write_recipe(tmp_path / "r.yaml", method="cal")))
