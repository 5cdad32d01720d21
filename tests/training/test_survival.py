"""Runs that are killed, run out of disk or lose their numbers, and go on as if nothing had been."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from interruption import StopBefore, StopBeforeValidation
from PIL import Image
from runs import fitted, write_recipe
from safetensors.torch import load_file
from shared import Shared
from torch import Tensor

from edge_fgir import InputError, results
from edge_fgir._errors import EdgeFgirError
from edge_fgir.data import open_data
from edge_fgir.runs import Run
from edge_fgir.training import Hook, read_recipe, train
from edge_fgir.training.methods import CrossEntropy

pytestmark = pytest.mark.slow

PLAN: dict[str, Any] = {
    "epochs": 4,
    "batch_size": 24,
    "checkpoint_steps": 2,
    "model": {"name": "lrnet14", "drop_path": 0.2},
    "optimizer": {"lr": 0.002, "warmup_steps": 2, "ema_decay": 0.9},
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute here as the killed processes do."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def fit(
    recipe: Path, photos: Path, out: Path, *hooks: Hook, resume: bool = False
) -> results.Training:
    plan = read_recipe(str(recipe))
    return train(plan, open_data(str(photos)), out, resume=resume, hooks=hooks)


def stop_at(step: int, recipe: Path, photos: Path, out: Path) -> None:
    """Train and interrupt the run before it learns ``step``."""
    with pytest.raises(KeyboardInterrupt):
        fit(recipe, photos, out, StopBefore(step))


@pytest.fixture(scope="module")
def whole(photos: Path, shared: Shared) -> Callable[[int], Path]:
    """Return a function that returns an undisturbed run of so many epochs."""

    def make(epochs: int) -> Path:
        return fitted(shared, f"whole-{epochs}", photos, **{**PLAN, "epochs": epochs})

    return make


def assert_same_weights(one: Path, other: Path) -> None:
    names = {path.name for path in one.glob("*.safetensors")} - {"state.safetensors"}
    assert names == {path.name for path in other.glob("*.safetensors")} - {"state.safetensors"}
    for name in names:
        first, second = load_file(one / name), load_file(other / name)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)


def step_of(run: Path) -> int:
    path = Run(run).position
    return json.loads(path.read_text())["step"] if path.exists() else 0


def kill_at(step: int, recipe: Path, photos: Path, out: Path) -> None:
    """Train in a process of its own and kill it as soon as it has saved ``step``."""
    command = [sys.executable, "-m", "edge_fgir", "train", recipe, "--data", photos, "--out", out]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([*map(str, command), "--resume"], env=environment) as process:
        while step_of(out) < step:
            assert process.poll() is None
            os.sched_yield()
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (out / "summary.json").exists()


@pytest.mark.parametrize(("variants", "steps"), [(0, (2, 6)), (2, (4,))])
def test_a_killed_run_resumes_bit_exactly(
    photos: Path, teacher_run: Path, tmp_path: Path, variants: int, steps: tuple[int, ...]
) -> None:
    teacher = {
        "run": str(teacher_run),
        "cache_variants": variants,
        "cache_folder": str(tmp_path / "cache"),
    }
    recipe = write_recipe(
        tmp_path / "r.yaml",
        **PLAN,
        method="tgda",
        teacher=teacher,
        data={"view_size": 32, "resize_ratio": 1.2, "trivial_augment": True, "workers": 1},
    )
    for step in steps:
        kill_at(step, recipe, photos, tmp_path / "parts")
    assert fit(recipe, photos, tmp_path / "parts", resume=True).steps == 12
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    fit(recipe, photos, tmp_path / "whole")
    assert_same_weights(tmp_path / "whole", tmp_path / "parts")


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file grow beyond ``size`` bytes, as if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_last_state_whole(
    photos: Path, tmp_path: Path, run_cli: Callable[..., Any], whole: Callable[[int], Path]
) -> None:
    recipe, run = write_recipe(tmp_path / "r.yaml", **{**PLAN, "epochs": 3}), tmp_path / "run"
    stop_at(4, recipe, photos, run)
    state, position = Run(run).state.read_bytes(), Run(run).position.read_bytes()
    with largest_file(len(state) // 2):
        done = run_cli("train", recipe, "--data", photos, "--out", run, "--resume")
    assert done.code == 1
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert done.err.splitlines()[-1] == errors[0]
    assert errors[0] == (
        f"error: tiny: the state of step 4 could not be written ({Run(run).state}: File too "
        "large); the one before it is kept; make room, then run again with --resume"
    )
    assert Run(run).state.read_bytes() == state
    assert Run(run).position.read_bytes() == position
    assert list(run.glob(".*")) == [Run(run).lock]
    fit(recipe, photos, run, resume=True)
    assert_same_weights(whole(3), run)


def lose_numbers(
    monkeypatch: pytest.MonkeyPatch, step: int, spoil: Callable[[Tensor], Tensor]
) -> None:
    """Pass the loss of ``step`` through ``spoil``."""
    original, calls = CrossEntropy.loss, [0]

    def loss(self: CrossEntropy, *arguments: Any) -> Tensor:
        calls[0] += 1
        value = original(self, *arguments)
        return spoil(value) if calls[0] == step else value

    monkeypatch.setattr(CrossEntropy, "loss", loss)


def spoiled_loss(loss: Tensor) -> Tensor:
    return loss * float("nan")


def spoiled_gradient(loss: Tensor) -> Tensor:
    spoiled = loss + 0
    spoiled.register_hook(lambda gradient: gradient * float("nan"))
    return spoiled


@pytest.mark.parametrize(
    ("spoil", "step", "saved"),
    # A gradient spoils the weights of its own step, the loss only that of the next.
    [
        (spoiled_loss, 5, 4),
        (spoiled_loss, 6, 4),
        (spoiled_gradient, 5, 4),
        (spoiled_gradient, 4, 3),
    ],
)
def test_lost_numbers_are_never_saved(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Tensor], Tensor],
    step: int,
    saved: int,
    whole: Callable[[int], Path],
) -> None:
    recipe = write_recipe(tmp_path / "r.yaml", **{**PLAN, "epochs": 3})
    with monkeypatch.context() as patch:
        lose_numbers(patch, step, spoil)
        with pytest.raises(EdgeFgirError, match=r"at step \d; .*last good state") as caught:
            fit(recipe, photos, tmp_path / "run")
    assert "\n" not in str(caught.value)
    if spoil is spoiled_loss:
        assert f"the loss is nan at step {step};" in str(caught.value)
    tensors = load_file(Run(tmp_path / "run").state)
    assert all(value.isfinite().all() for value in tensors.values())
    assert step_of(tmp_path / "run") == saved
    fit(recipe, photos, tmp_path / "run", resume=True)
    assert_same_weights(whole(3), tmp_path / "run")


def test_a_learning_rate_far_too_high_is_said(photos: Path, tmp_path: Path) -> None:
    plan = {**PLAN, "checkpoint_steps": 1, "optimizer": {"lr": 1e30, "warmup_steps": 0}}
    recipe = write_recipe(tmp_path / "r.yaml", **plan)
    with pytest.raises(EdgeFgirError, match=r"at step \d+; .*--set optimizer.lr=1e\+29$"):
        fit(recipe, photos, tmp_path / "run")
    state = Run(tmp_path / "run").state
    if state.exists():
        assert all(value.isfinite().all() for value in load_file(state).values())


def test_a_run_that_lost_its_numbers_goes_on_as_it_was_told_to(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_cli: Callable[..., Any]
) -> None:
    recipe = write_recipe(tmp_path / "r.yaml", **{**PLAN, "epochs": 2, "precision": "bf16"})
    arguments = ("train", recipe, "--data", photos, "--out", tmp_path / "run")
    with monkeypatch.context() as patch:
        lose_numbers(patch, 5, spoiled_loss)
        done = run_cli(*arguments)
    assert done.code == 1
    assert done.err.splitlines()[-1] == (
        "error: tiny: the loss is nan at step 5; the last good state is kept: run again with "
        "--resume and --set optimizer.lr=0.0002 or --set precision=fp32"
    )
    other = run_cli(*arguments, "--resume", "--set", "seed=3", "--set", "optimizer.lr=2e-4")
    assert other.code == 2
    assert "was started with another recipe (seed); expected" in other.err
    told = ("--resume", "--set", "optimizer.lr=0.0002", "--set", "precision=fp32")
    done = run_cli(*arguments, *told, "--json")
    assert done.code == 0
    assert (done.json["steps"], done.json["precision"]) == (6, "fp32")
    # What is finished is not what another learning rate would have given.
    late = run_cli(*arguments, "--resume", "--set", "optimizer.lr=1e-4")
    assert "another recipe (optimizer.lr, precision)" in late.err


def test_a_run_stopped_before_its_last_validation_still_reports_it(
    photos: Path, tmp_path: Path, whole: Callable[[int], Path]
) -> None:
    recipe, run = write_recipe(tmp_path / "r.yaml", **{**PLAN, "epochs": 1}), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        fit(recipe, photos, run, StopBeforeValidation())
    assert step_of(run) == 3
    summary = fit(recipe, photos, run, resume=True)
    assert summary.val_top1 == json.loads((whole(1) / "summary.json").read_text())["val_top1"]
    assert summary.history[-1].val_top1 is not None


def test_a_run_stopped_before_a_validation_in_between_makes_up_for_it(
    photos: Path, tmp_path: Path, whole: Callable[[int], Path]
) -> None:
    recipe, run = write_recipe(tmp_path / "r.yaml", **{**PLAN, "epochs": 2}), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        fit(recipe, photos, run, StopBeforeValidation())
    waited = json.loads(Run(run).position.read_text())["waited"]
    assert waited > 0
    summary = fit(recipe, photos, run, resume=True)
    before = [(line.step, line.loss, line.val_top1) for line in summary.history]
    known = json.loads((whole(2) / "summary.json").read_text())["history"]
    assert before == [(each["step"], each.get("loss"), each.get("val_top1")) for each in known]


def test_a_half_written_line_of_metrics_is_no_obstacle(photos: Path, tmp_path: Path) -> None:
    recipe, run = write_recipe(tmp_path / "r.yaml", **{**PLAN, "epochs": 2}), tmp_path / "run"
    stop_at(5, recipe, photos, run)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "epo')
    summary = fit(recipe, photos, run, resume=True)
    assert [line.step for line in summary.history if line.loss is not None] == [3, 6]


def odd_picture(photos: Path, root: Path, pixels: np.ndarray) -> Path:
    """Copy the photos and put one of another kind among them."""
    shutil.copytree(photos, root)
    path = root / "train" / "red_leaf" / "010.png"
    assert path.exists()
    Image.fromarray(pixels).save(path)
    return root


def test_a_grey_picture_is_learned_from(photos: Path, tmp_path: Path) -> None:
    grey = odd_picture(photos, tmp_path / "data", np.full((40, 56), 90, np.uint8))
    recipe = write_recipe(tmp_path / "r.yaml", **{**PLAN, "epochs": 1})
    assert fit(recipe, grey, tmp_path / "run").steps == 3


@pytest.mark.parametrize("convert", [False, True])  # a key of earlier recipes
def test_a_tiny_picture_is_refused_before_anything_is_written(
    photos: Path, tmp_path: Path, run_cli: Callable[..., Any], convert: bool
) -> None:
    tiny = odd_picture(photos, tmp_path / "data", np.full((3, 5, 3), 90, np.uint8))
    recipe, run = write_recipe(tmp_path / "r.yaml", **PLAN), tmp_path / "run"
    with pytest.raises(InputError, match=r"010\.png is 5 x 3 pixels; expected at least 8 x 8"):
        open_data(str(tiny), strict=True)
    options = ("--set", "data.convert=true") if convert else ()
    done = run_cli("train", recipe, "--data", tiny, "--out", run, "--strict", *options)
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert line.startswith("error: ")
    assert "010.png is 5 x 3 pixels" in line
    assert not run.exists()
