from pathlib import Path

import pytest
from runs import write_recipe

from edge_fgir import InputError, _resources
from edge_fgir.training import read_recipe

pytestmark = pytest.mark.unit

PAPERS = ("tgda-", "clca-", "glsim-")


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
    assert (recipe.loss.label_smoothing, recipe.data.trivial_augment) == (0.1, True)
    assert type(recipe).model_fields["batch_size"].default == 8
    assert type(recipe).model_fields["precision"].default == "auto"
    assert recipe.elastic is None


@pytest.mark.parametrize(
    ("name", "student", "size"),
    [
        ("tgda-448-448", "resnet18", 448),
        ("tgda-448-224", "vitfs_tiny", 224),
        ("tgda-448-128", "lrnet14", 128),
    ],
)
def test_students_of_the_paper_learn_as_published(name: str, student: str, size: int) -> None:
    recipe = read_recipe(name)
    assert (recipe.method, recipe.epochs, recipe.batch_size) == ("tgda", 800, 8)
    assert (recipe.precision, recipe.views) == ("fp16", ("crop", "drop"))
    assert (recipe.model.name, recipe.model.weights) == (student, "random")
    assert recipe.model.drop_path == 0.1
    data, optimizer, loss, teacher = recipe.data, recipe.optimizer, recipe.loss, recipe.teacher
    assert (data.view_size, int(data.resize_ratio * data.view_size)) == (448, 600)
    assert (data.trivial_augment, data.with_val, data.kernel) == (True, True, "bicubic")
    assert (data.mean[0], data.std[2]) == (0.485, 0.225)
    assert (optimizer.name, optimizer.lr, optimizer.weight_decay) == ("adamw", 5e-4, 0.05)
    assert (optimizer.warmup_steps, optimizer.warmup_lr, optimizer.min_lr) == (500, 1e-6, 1e-5)
    assert (optimizer.clip_norm, optimizer.ema_decay) == (1.0, 0.0)
    assert (loss.label_smoothing, loss.temperature, loss.kd_weight) == (0.1, 0.7, 1.0)
    assert loss.kd_t2_scaling
    assert teacher is not None
    assert (teacher.mode, teacher.cache_variants, teacher.joint_forward) == ("train", 0, False)
    assert teacher.run.endswith("tgda-teacher-448")
    assert (recipe.eval.image_size, recipe.eval.every_epochs) == (size, 10)
    assert recipe.eval.crop_fraction == pytest.approx(448 / 600, abs=1e-4)
    assert recipe.preprocess.view_size == (448 if size < 448 else None)


@pytest.mark.parametrize("name", [n for n in _resources.names("recipes") if n.startswith(PAPERS)])
def test_recipes_of_papers_learn_from_train_and_val(name: str) -> None:
    assert read_recipe(name).data.with_val


def test_the_papers_teacher_learns_as_published() -> None:
    recipe = read_recipe("tgda-teacher-448")
    assert (recipe.method, recipe.epochs, recipe.batch_size, recipe.seed) == ("cal", 50, 8, 1)
    model, data, optimizer = recipe.model, recipe.data, recipe.optimizer
    assert (model.name, model.weights, model.attention_maps) == ("resnet101.tv_in1k", "timm", 32)
    assert (data.view_size, data.trivial_augment, data.with_val) == (448, False, True)
    assert (optimizer.name, optimizer.lr, optimizer.weight_decay) == ("sgd", 0.03, 0)
    assert (optimizer.warmup_steps, optimizer.min_lr, optimizer.clip_norm) == (500, 1e-5, 1)
    assert not optimizer.nesterov
    assert (recipe.precision, recipe.eval.image_size) == ("fp16", 448)


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
        ("views=[crop, crop]", r"views names one twice"),
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
