"""Two processes are one training: the same batches, losses and weights, and one of them speaks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from interruption import StopBefore
from runs import RECIPE, write_recipe
from safetensors.torch import load_file
from two_processes import WAIT_S, Pair, free_port, two_processes

from edge_fgir import InputError, results
from edge_fgir.data import open_data
from edge_fgir.training import Training, read_recipe

pytestmark = pytest.mark.slow

PLAN: dict[str, Any] = {
    **RECIPE,
    "epochs": 2,
    "batch_size": 24,
    "checkpoint_steps": 2,
    "model": {"name": "test_vit"},
    "optimizer": {"name": "sgd", "lr": 0.05, "warmup_steps": 2, "ema_decay": 0.9},
}

BATCH_NORMS: dict[str, dict[str, Any]] = {
    "LRNet": {"model": {"name": "lrnet14"}},
    "with activation": {"model": {"name": "test_efficientnet"}},
    "tokens, elastic": {
        "model": {"name": "vitfs_nano", "reduction": {"method": "evit", "keep_rate": 1.0}},
        "elastic": {"image_sizes": [32, 48], "keep_rates": [1.0, 0.5], "random_settings": 1},
        "eval": {**RECIPE["eval"], "image_size": 48},
    },
}
"""Networks whose layers see the statistics of a batch."""


class Trained(NamedTuple):
    """What one process holds when a training has ended."""

    summary: results.Training
    weights: dict[str, np.ndarray]
    method: dict[str, np.ndarray]


def fit(recipe: Path, photos: Path, out: Path, resume: bool = False, stop: int = 0) -> Trained:
    """Train in this process, alone or as one of several; ``stop`` fails before that step."""
    torch.set_num_threads(1)
    hooks = [StopBefore(stop, InterruptedError)] if stop else []
    training = Training(read_recipe(str(recipe)), open_data(str(photos)), out, hooks)
    summary = training.run()
    return Trained(
        summary,
        {name: value.numpy() for name, value in training.model.state_dict().items()},
        {name: value.numpy() for name, value in training.method.state().items()},
    )


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Return a function that runs :func:`fit` in two processes at once, results by rank."""
    with two_processes() as call:
        yield partial(call, fit)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def recipe(folder: Path) -> Path:
    return write_recipe(folder / "ce.yaml", **PLAN)


@pytest.fixture(scope="module")
def alone(recipe: Path, photos: Path, folder: Path) -> Path:
    """The same training in one process."""
    threads = torch.get_num_threads()
    fit(recipe, photos, folder / "alone")
    torch.set_num_threads(threads)
    return folder / "alone"


@pytest.fixture(scope="module")
def together(pair: Pair, recipe: Path, photos: Path, folder: Path) -> list[Trained]:
    """Both processes of an undisturbed training; rank 0 wrote ``folder / "together"``."""
    return pair(recipe, photos, folder / "together")


def losses(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def assert_one_training(one: Path, other: Path, near: float = 1e-4) -> None:
    assert len(losses(one)) == PLAN["epochs"]
    assert losses(other) == pytest.approx(losses(one), rel=near)
    for name in ("weights.safetensors", "ema.safetensors"):
        first, second = load_file(one / name), load_file(other / name)
        assert first.keys() == second.keys()
        for key in first:
            torch.testing.assert_close(second[key], first[key], rtol=near, atol=near / 10)


def test_two_processes_learn_what_one_does(
    together: list[Trained], alone: Path, folder: Path
) -> None:
    assert_one_training(alone, folder / "together")
    one = json.loads((alone / "summary.json").read_text())
    two = together[0].summary
    assert (one["processes"], two.processes) == (1, 2)
    assert (one["steps"], two.steps) == (6, 6)
    assert one["val_top1"] == pytest.approx(two.val_top1, abs=100 / 36 + 1e-6)


@pytest.mark.parametrize("changes", BATCH_NORMS.values(), ids=BATCH_NORMS)
def test_networks_with_batch_norms_learn_what_one_process_does(
    pair: Pair, photos: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    # Sums in another order, divided by small deviations: at a high rate, steps enlarge the rest.
    slow = {**PLAN["optimizer"], "lr": 0.005}
    recipe = write_recipe(tmp_path / "r.yaml", **{**PLAN, "optimizer": slow, **changes})
    first, second = pair(recipe, photos, tmp_path / "two")
    fit(recipe, photos, tmp_path / "one")
    assert any(name.endswith("running_var") for name in first.weights)
    assert_one_training(tmp_path / "one", tmp_path / "two", near=1e-3)
    assert all(np.array_equal(first.weights[k], second.weights[k]) for k in first.weights)


def test_both_processes_hold_the_same_weights(together: list[Trained]) -> None:
    first, second = (one.weights for one in together)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_only_the_first_writes(together: list[Trained], folder: Path) -> None:
    assert together[0].summary.history
    lines = (folder / "together" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 4
    assert len(list((folder / "together").glob("events.*"))) == 1


def test_a_resumed_pair_is_bit_exact(
    together: list[Trained], pair: Pair, recipe: Path, photos: Path, folder: Path
) -> None:
    out = folder / "resumed"
    with pytest.raises(InterruptedError):
        pair(recipe, photos, out, stop=4)
    assert json.loads((out / "state.json").read_text())["step"] == 3
    resumed = pair(recipe, photos, out, resume=True)
    for before, after in zip(together, resumed, strict=True):
        assert all(np.array_equal(before.weights[k], after.weights[k]) for k in before.weights)
    assert losses(out) == losses(folder / "together")


@pytest.mark.parametrize("variants", [0, 2])
def test_two_students_of_one_teacher_learn_what_one_does(
    pair: Pair, teacher_run: Path, photos: Path, tmp_path: Path, variants: int
) -> None:
    def plan(name: str) -> Path:
        # A mean map and a replayed draw: neither depends on a process's random numbers.
        teacher = {
            "run": str(teacher_run),
            "cache_variants": variants,
            "cache_folder": str(tmp_path / f"{name}-cache"),
            "mode": "hybrid" if variants else "eval",
        }
        views = ["crop", "drop"]
        method = "tgda" if variants else "kd"
        values = {**PLAN, "method": method, "views": views, "teacher": teacher}
        return write_recipe(tmp_path / f"{name}.yaml", **values)

    first, second = pair(plan("two"), photos, tmp_path / "two")
    alone = fit(plan("one"), photos, tmp_path / "one")
    assert_one_training(tmp_path / "one", tmp_path / "two")
    assert all(np.array_equal(first.weights[k], second.weights[k]) for k in first.weights)
    if variants:
        one, two = (Path(each.summary.teacher_cache.folder) for each in (alone, first))
        names = {path.name for path in two.iterdir() if path.suffix != ".lock"}
        assert names == {path.name for path in one.iterdir() if path.suffix != ".lock"}
        assert len(names) == 3
        for path in one.glob("*.safetensors"):
            assert path.read_bytes() == (two / path.name).read_bytes()


def test_a_teacher_is_trained_and_its_centres_agree(
    pair: Pair, photos: Path, tmp_path: Path
) -> None:
    values = {**RECIPE, "method": "cal", "epochs": 1, "batch_size": 24}
    model = {"name": "lrnet14", "attention_maps": 4}
    recipe = write_recipe(tmp_path / "r.yaml", **{**values, "model": model})
    first, second = pair(recipe, photos, tmp_path / "run")
    assert np.isfinite(losses(tmp_path / "run")).all()
    assert np.abs(first.method["centres"]).sum(axis=1).min() > 0
    assert np.array_equal(first.method["centres"], second.method["centres"])
    # BatchNorm statistics as well, of which each process has seen the same.
    assert any(name.endswith("running_mean") for name in first.weights)
    assert all(np.array_equal(first.weights[name], second.weights[name]) for name in first.weights)


def test_a_batch_that_cannot_be_shared_is_one_line(
    pair: Pair, photos: Path, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path / "r.yaml", **{**PLAN, "batch_size": 9})
    with pytest.raises(InputError, match="batch_size 9 on 2 processes; expected a mult") as caught:
        pair(recipe, photos, tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_launched_run_speaks_with_one_voice(
    recipe: Path, alone: Path, photos: Path, folder: Path
) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    launcher += ["--master_addr", "127.0.0.1", "--master_port", str(free_port())]
    command = ["-m", "edge_fgir", "train", recipe, "--data", photos, "--out", folder / "launched"]
    done = subprocess.run(
        [*launcher, *map(str, command)],
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert "test_vit by ce, 2 epochs" in done.stdout
    spoken = [line for line in done.stderr.splitlines() if "72/72" in line]
    assert len(spoken) == 1
    assert_one_training(alone, folder / "launched")
