"""What a sweep file may say, and what makes two trainings the same."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from runs import write_recipe

pytest.importorskip("torch")

from edge_fgir import InputError
from edge_fgir.sweeping import read_sweep
from edge_fgir.sweeping.cells import changes_text, make_cells

pytestmark = pytest.mark.unit


def write_sweep(folder: Path, photos: Path, **values: Any) -> Path:
    """Write a sweep of the tiny recipe; None leaves a key out."""
    write_recipe(folder / "tiny.yaml")
    all_values = {"name": "leaves", "recipe": "tiny.yaml", "data": str(photos), **values}
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in all_values.items() if v is not None}))
    return path


def cells_of(path: Path):
    return make_cells(read_sweep(path), path.parent)


def keys_of(path: Path) -> list[str]:
    return [cell.key for cell in cells_of(path)]


def test_rows_grid_and_seeds_are_combined(photos, tmp_path):
    path = write_sweep(
        tmp_path,
        photos,
        seeds=[3, 4],
        set={"epochs": 2},
        grid={"optimizer.lr": [1e-5, "1e-3"], "eval.image_size": [32, 48]},
        list=[{"method": "ce"}, {"model.name": "resnet10t"}],
    )
    cells = cells_of(path)
    assert len(cells) == len({cell.key for cell in cells}) == 16
    assert {cell.recipe.epochs for cell in cells} == {2}
    assert {cell.recipe.optimizer.lr for cell in cells} == {1e-5, 1e-3}
    first, second = cells[:2]
    assert (first.seed, second.seed, second.recipe.seed) == (3, 4, 4)
    assert first.changes == second.changes
    assert changes_text(first.changes) == "method=ce, eval.image_size=32, optimizer.lr=1.0e-05"
    assert cells[-1].recipe.model.name == "resnet10t"
    assert cells[-1].split == "test"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": None}, "name: Field required; expected a legal key and value"),
        ({"seed": 1}, "has an unknown key seed; expected seeds"),
        ({"gird": {}}, "has an unknown key gird; expected grid"),
        ({"data": []}, "data: Value should have at least 1 item"),
        ({"seeds": []}, "seeds: Tuple should have at least 1 item"),
        ({"seeds": [-1]}, "seeds.0: Input should be greater than or equal to 0"),
        ({"split": "exam"}, "split: Input should be 'train', 'val' or 'test'"),
        ({"grid": {}}, "grid: Dictionary should have at least 1 item"),
        ({"grid": {"epochs": []}}, "grid.epochs: Tuple should have at least 1 item"),
        ({"grid": {"epochs": 3}}, "grid.epochs: Input should be a valid tuple"),
        ({"grid": {"a b": [1]}}, "String should match pattern"),
        ({"list": []}, "list: Tuple should have at least 1 item"),
        ({"grid": {"seed": [1]}}, "seed is changed by seeds"),
        ({"set": {"epochs": 1}, "grid": {"epochs": [1]}}, "epochs is in two of set, list and grid"),
        (
            {"set": {"model": {}}, "grid": {"model.name": ["x"]}},
            "model.name lies in model, which is changed too",
        ),
        ({"cpus": 0}, "cpus: Input should be greater than or equal to 1"),
        ({"gpus": 1.5}, "gpus 1.5 is neither whole nor a part of one"),
    ],
)
def test_a_wrong_file_is_one_line(photos, tmp_path, values, message):
    path = write_sweep(tmp_path, photos, **values)
    with pytest.raises(InputError) as caught:
        read_sweep(path)
    text = str(caught.value)
    assert text.startswith(f"sweep {path}")
    assert message in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"grid": {"optimizer.rate": [1]}},
            "cell {data}: optimizer.rate=1, seed 0: recipe .* has an unknown key optimizer.rate",
        ),
        (
            {"grid": {"epochs": [1, 0]}},
            "cell {data}: epochs=0, seed 0: recipe .*: either epochs or length",
        ),
        ({"set": {"epochs.x": 1}}, "seed 0: --set epochs.x=1: epochs is a value; expected"),
        ({"recipe": "nothing"}, "no recipe 'nothing'; expected a YAML file or one of"),
        ({"data": "nowhere"}, "nowhere"),
        ({"grid": {"model.name": ["lrnet14", "lrnet99"]}}, "unknown model 'lrnet99'; expected"),
        (
            {"list": [{"method": "kd", "teacher": {"run": "gone"}}]},
            "gone has no weights.safetensors; expected a finished training",
        ),
        (
            {"set": {"data.with_val": True}, "split": "val"},
            "a choice by val, which data.with_val learns from; expected data.with_val false, or",
        ),
        ({"seeds": [1, 1]}, "seed 1 is the same training as .*seed 1; expected it once"),
        ({"grid": {"optimizer.lr": [0.001, "1e-3"]}}, "is the same training as"),
    ],
)
def test_a_wrong_cell_is_named_before_anything_runs(photos, tmp_path, values, message):
    path = write_sweep(tmp_path, photos, **values)
    with pytest.raises(InputError, match=message.format(data=photos)) as caught:
        cells_of(path)
    assert str(caught.value).startswith("sweep leaves, cell ")
    assert "\n" not in str(caught.value)


def test_a_cell_is_known_by_what_its_training_depends_on(photos, tmp_path):
    data = shutil.copytree(photos, tmp_path / "leaves")
    path = write_sweep(tmp_path, data, split="val", seeds=[0])
    (before,) = keys_of(path)
    write_recipe(tmp_path / "tiny.yaml", about="what it is for")
    assert keys_of(path) == [before]
    write_sweep(tmp_path, data, split="test", seeds=[0, 1], cpus=2)
    assert keys_of(path)[0] == before
    picture = next((data / "train" / "red_leaf").iterdir())
    picture.write_bytes((data / "train" / "green_leaf" / picture.name).read_bytes())
    assert before not in keys_of(path)


def test_a_teachers_weights_count(photos, teacher_run, tmp_path):
    teacher = shutil.copytree(teacher_run, tmp_path / "teacher")
    row = {"method": "kd", "teacher": {"run": str(teacher)}}
    path = write_sweep(tmp_path, photos, list=[row])
    (before,) = keys_of(path)
    assert keys_of(path) == [before]
    weights = teacher / "weights.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")
    assert keys_of(path) != [before]


def test_paths_are_absolute_for_workers(photos, teacher_run, tmp_path, monkeypatch):
    monkeypatch.chdir(teacher_run.parent)
    row = {"method": "kd", "teacher": {"run": teacher_run.name, "cache_variants": 1}}
    shutil.copytree(photos, tmp_path / "leaves")
    (cell,) = cells_of(write_sweep(tmp_path, photos, data="leaves", list=[row]))
    assert cell.source == str(tmp_path / "leaves")
    assert cell.recipe.teacher.run == str(teacher_run)
    assert cell.recipe.teacher.cache_folder == ""


def test_data_of_one_name_are_told_apart(photos, tmp_path):
    folders = [shutil.copytree(photos, tmp_path / name / "leaves") for name in ("a", "b")]
    next((folders[1] / "test" / "red_leaf").iterdir()).unlink()
    cells = cells_of(write_sweep(tmp_path, photos, data=["a/leaves", "b/leaves"]))
    assert [cell.data.name for cell in cells] == [str(folder) for folder in folders]
