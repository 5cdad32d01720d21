"""Runs whose data changes: refused with what changed, or gone on with where that can be meant."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from interruption import StopBefore
from PIL import Image
from runs import write_recipe

from edge_fgir import InputError, evaluate
from edge_fgir.data import open_data
from edge_fgir.runs import Run
from edge_fgir.training import Hook, rank_teachers, read_recipe, train

pytestmark = pytest.mark.slow

CLASSES = ("green", "red")
SPLITS = ("train", "val", "test")


def fit(folder: Path, *hooks: Hook, **options: Any) -> Any:
    recipe = read_recipe(str(write_recipe(folder / "r.yaml", epochs=3, checkpoint_steps=1)))
    return train(recipe, open_data(str(folder / "data")), folder / "run", hooks=hooks, **options)


@pytest.fixture(scope="module")
def stopped(
    make_folder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Two folders with ``data`` and a ``run``: one stopped in its second epoch, one finished."""
    begun = tmp_path_factory.mktemp("begun")
    make_folder(begun / "data", CLASSES)
    with pytest.raises(KeyboardInterrupt):
        fit(begun, StopBefore(4))
    finished = tmp_path_factory.mktemp("finished")
    shutil.copytree(begun, finished, dirs_exist_ok=True)
    fit(finished, resume=True)
    return begun, finished


@pytest.fixture
def begun(stopped: tuple[Path, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped[0], tmp_path / "begun"))


@pytest.fixture
def finished(stopped: tuple[Path, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped[1], tmp_path / "finished"))


def grow(data: Path) -> None:
    for number in range(8):
        Image.new("RGB", (60, 60 + number)).save(data / "train/green" / f"new{number}.png")


def shrink(data: Path) -> None:
    for path in (data / "train").glob("*/[4-7].png"):
        path.unlink()


def rename_class(data: Path) -> None:
    for split in SPLITS:
        (data / split / "green").rename(data / split / "zebra")


def add_class(data: Path) -> None:
    for split in SPLITS:
        shutil.copytree(data / split / "green", data / split / "aardvark")


PICTURES = [(grow, "train: 8 added"), (shrink, "train: 8 removed")]


@pytest.mark.parametrize(("act", "said"), PICTURES)
def test_other_pictures_are_refused_and_can_be_accepted(
    begun: Path, act: Callable[[Path], None], said: str
) -> None:
    act(begun / "data")
    with pytest.raises(InputError, match=rf"{said}\).*add --accept-data-change"):
        fit(begun, resume=True)
    summary = fit(begun, resume=True, accept_data_change=True)
    steps = len(open_data(str(begun / "data")).split("train")) // 8
    assert summary.steps == 3 * steps
    assert [line.epoch for line in summary.history if line.loss is not None] == [1, 2, 3]
    assert not Run.open(begun / "run").data_change(open_data(str(begun / "data")))


def test_a_recipe_whose_length_follows_from_the_pictures_goes_on_with_other_ones(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    length = {"steps": 8, "least_epochs": 1}
    recipe = read_recipe(str(write_recipe(tmp_path / "r.yaml", epochs=0, length=length)))
    folder, run = make_folder(tmp_path / "data", CLASSES), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(recipe, open_data(str(folder)), run, hooks=[StopBefore(4)])
    grow(folder)
    data = open_data(str(folder))
    begun, now = (each.epochs for each in (Run(run).recipe, recipe.resolved(24, gpu=False, cpus=2)))
    assert now < begun  # with so many pictures it would be shorter
    elsewhere = recipe.model_copy(update={"data": recipe.data.model_copy(update={"workers": 1})})
    assert train(elsewhere, data, run, resume=True, accept_data_change=True).epochs == begun
    assert train(recipe, data, run, resume=True).epochs == begun


@pytest.mark.parametrize("accept", [False, True])
@pytest.mark.parametrize(
    ("act", "said"),
    [(rename_class, "'zebra' is new to it, the data has no 'green'"), (add_class, "'aardvark'")],
)
def test_other_classes_are_never_accepted(
    begun: Path, act: Callable[[Path], None], said: str, accept: bool
) -> None:
    act(begun / "data")
    with pytest.raises(InputError, match=rf"other classes than data data.*{said}"):
        fit(begun, resume=True, accept_data_change=accept)
    assert Run(begun / "run").class_names.read_text() == "green\nred\n"


def test_a_finished_run_is_not_taken_for_one_of_other_data(finished: Path) -> None:
    assert fit(finished, resume=True).epochs == 3
    grow(finished / "data")
    for accept in (False, True):
        with pytest.raises(InputError, match=r"was trained on other pictures.*another --out"):
            fit(finished, resume=True, accept_data_change=accept)


def test_pictures_that_were_learned_are_no_test(finished: Path) -> None:
    data = finished / "data"
    Image.new("RGB", (70, 71)).save(data / "test/green/new.png")
    new = evaluate(finished / "run", data)
    assert new.data_change == "test: 1 added"
    (data / "train/green/3.png").rename(data / "test/green/3.png")
    with pytest.raises(InputError, match="was trained on 1 of the 6 pictures that lie in test"):
        evaluate(finished / "run", data)
    assert evaluate(finished / "run", data, accept_data_change=True).images == 6


def test_pictures_that_were_learned_choose_no_adjustment(finished: Path) -> None:
    data = finished / "data"
    (data / "train/green/3.png").rename(data / "val/green/3.png")
    assert evaluate(finished / "run", data).images
    with pytest.raises(InputError, match=r"trained on 1 of the \d+ pictures that lie in val"):
        evaluate(finished / "run", data, logit_adjustment="auto")


def test_val_that_was_learned_is_no_test(finished: Path) -> None:
    run, data = Run(finished / "run"), finished / "data"
    evaluate(run.path, data, "val")
    run.config.write_text(run.changed_recipe(["data.with_val=true"]).dump())
    with pytest.raises(InputError, match="was trained on val as well"):
        evaluate(run.path, data, "val")
    assert evaluate(run.path, data, "val", accept_data_change=True).images
    assert evaluate(run.path, data).images
    (found,) = rank_teachers([run.path], open_data(str(data))).teachers
    assert found.tac is None
    assert found.images == 16


def test_export_says_that_val_was_learned(run_cli: Any, finished: Path) -> None:
    run = Run(finished / "run")
    run.config.write_text(run.changed_recipe(["data.with_val=true"]).dump())
    command = ["export", run.path, "--target", "arm", "--data", finished / "data"]
    command += ["--precision", "fp32", "--out", finished / "b.fgir"]
    refused = run_cli(*command, "--logit-adjustment", "auto")
    assert refused.code == 2
    assert "which was trained on val as well; expected val that it has not seen" in refused.err
    made = run_cli(*command)
    assert made.code == 0
    assert "the run was trained on val as well (data.with_val)" in made.err


def test_export_asks_before_it_judges_by_other_pictures(run_cli: Any, finished: Path) -> None:
    grow(finished / "data")
    for command in (
        ("export", finished / "run", "--target", "arm", "--out", finished / "b.fgir"),
        ("profile", finished / "run", "--out", finished / "plan.json"),
    ):
        done = run_cli(*command, "--data", finished / "data")
        assert done.code == 2
        assert "train: 8 added" in done.err
        assert done.err.rstrip().endswith("if that is meant, add --accept-data-change")


def test_a_run_without_a_record_knows_its_hash(finished: Path) -> None:
    run, data = Run.open(finished / "run"), finished / "data"
    run.data_record.unlink()
    assert not run.data_change(open_data(str(data)))
    grow(data)
    assert run.data_change(open_data(str(data))).unknown


def test_two_processes_do_not_train_one_run(begun: Path) -> None:
    """The second is refused, and the first goes on as if nothing had been."""
    holder = (
        "import sys; from pathlib import Path; from edge_fgir._files import claimed\n"
        "with claimed(Path(sys.argv[1]), 'it'): print('held', flush=True); sys.stdin.read()"
    )
    lock = Run(begun / "run").lock
    before = Run(begun / "run").metrics.read_bytes()
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match="is in the hands of another process"):
            fit(begun, resume=True)
        assert Run(begun / "run").metrics.read_bytes() == before
        first.kill()
    lines = fit(begun, resume=True).history
    steps = [line.step for line in lines if line.loss is not None]
    assert steps == sorted(set(steps))
    assert json.loads(Run(begun / "run").position.read_text())["step"] == 6
