"""Run folders and caches made to do harm, or damaged: one line, and nothing is waited for."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from interruption import StopBefore
from runs import write_recipe
from safetensors import safe_open
from safetensors.torch import save_file

from edge_fgir import InputError
from edge_fgir.data import open_data
from edge_fgir.data.arrays import read_arrays
from edge_fgir.fitting.journal import Journal
from edge_fgir.results import read_result
from edge_fgir.runs import Run
from edge_fgir.training import read_recipe, train

pytestmark = pytest.mark.slow

Change = Callable[[Path], object]
Tensors = dict[str, torch.Tensor]


def fit(folder: Path, *hooks: Any) -> Any:
    recipe = read_recipe(str(write_recipe(folder / "r.yaml", epochs=2, checkpoint_steps=1)))
    data = open_data(str(folder / "data"))
    return train(recipe, data, folder / "run", resume=True, hooks=hooks)


@pytest.fixture(scope="module")
def stopped(
    make_folder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Folders with ``data`` and a ``run``: ``begun`` in its second epoch, and ``finished``."""
    begun, finished = tmp_path_factory.mktemp("begun"), tmp_path_factory.mktemp("finished")
    make_folder(begun / "data", ("green", "red"))
    with pytest.raises(KeyboardInterrupt):
        fit(begun, StopBefore(4))
    shutil.copytree(begun, finished, dirs_exist_ok=True)
    fit(finished)
    return {"begun": begun, "finished": finished}


@pytest.fixture
def copy(stopped: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    return lambda which: Path(shutil.copytree(stopped[which], tmp_path / which))


def text(content: str) -> Change:
    return lambda path: path.write_text(content)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def binary(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x80" * 40)


def half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def value(*where: Any) -> Change:
    """Return a change of a JSON file: keys, and the value for the last of them."""

    def act(path: Path) -> None:
        *above, last, new = where
        whole = found = json.loads(path.read_text())
        for key in above:
            found = found[key]
        found[last] = new
        path.write_text(json.dumps(whole))

    return act


def state(change: Callable[[Tensors, dict[str, str]], object]) -> Change:
    """Return a change of the tensors and texts of a state."""

    def act(path: Path) -> None:
        with safe_open(path, "pt") as file:
            texts = file.metadata()
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        change(tensors, texts)
        path.unlink()
        save_file(tensors, path, texts)

    return act


def position(**values: object) -> Change:
    def change(tensors: Tensors, texts: dict[str, str]) -> None:
        texts["position"] = json.dumps({**json.loads(texts["position"]), **values})

    return state(change)


def model_tensors(change: Callable[[torch.Tensor], torch.Tensor | None]) -> Change:
    def act(tensors: Tensors, texts: dict[str, str]) -> None:
        for key in [key for key in tensors if key.startswith("model/")]:
            new = change(tensors.pop(key))
            if new is not None:
                tensors[key] = new

    return state(act)


STATES: dict[str, Change] = {
    "a pipe": pipe,
    "half": half,
    "no tensors": binary,
    "no texts": state(lambda tensors, texts: texts.clear()),
    "a text for a position": state(lambda tensors, texts: texts.update(position="x")),
    "a list for a position": state(lambda tensors, texts: texts.update(position="[]")),
    "a deep position": state(lambda tensors, texts: texts.update(position="[" * 5000)),
    "a text for a step": position(step="x"),
    "a huge step": position(step=10**30),
    "a step below zero": position(step=-5),
    "an epoch that is not the step's": position(epoch=0),
    "an epoch after the last": position(epoch=99, step=198),
    "best of no number": position(best=None),
    "no weights": model_tensors(lambda tensor: None),
    "weights of another shape": model_tensors(lambda tensor: torch.zeros(3)),
    "a moment of no parameter": state(
        lambda tensors, texts: tensors.update({"optimizer/99999/exp_avg": torch.zeros(1)})
    ),
    "a moment without a number": state(
        lambda tensors, texts: tensors.update({"optimizer/x/exp_avg": torch.zeros(1)})
    ),
    "a moment of another shape": state(
        lambda tensors, texts: tensors.update({"optimizer/0/exp_avg": torch.zeros(7)})
    ),
    "a recipe that is none": state(lambda tensors, texts: texts.update(recipe="[[[")),
    "a recipe without end": state(lambda tensors, texts: texts.update(recipe="[" * 5000)),
    "a list for a recipe": state(lambda tensors, texts: texts.update(recipe="[1]")),
}


@pytest.mark.parametrize("name", STATES)
def test_a_damaged_state_is_not_gone_on_with(copy: Callable[[str], Path], name: str) -> None:
    folder = copy("begun")
    STATES[name](Run(folder / "run").state)
    with pytest.raises(InputError) as caught:
        fit(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "lines",
    ["5\n", "{}\n", '{"step": 1, "epoch": 1, "loss": NaN}\n', '{"step": null}\n', "[" * 5000],
)
def test_a_damaged_line_of_the_log_does_not_cost_the_training(
    copy: Callable[[str], Path], lines: str
) -> None:
    folder = copy("begun")
    log = Run(folder / "run").metrics
    log.write_text(log.read_text() + lines)
    assert [line.epoch for line in fit(folder).history if line.loss is not None] == [1, 2]


FINISHED = ("config.yaml", "model.json", "labels.txt", "summary.json", "data.safetensors")
DAMAGES: dict[str, Change] = {
    "a pipe": pipe,
    "no text": binary,
    "empty": text(""),
    "a list": text("[1]"),
    "deep": text("[" * 5000),
}


@pytest.mark.parametrize("name", FINISHED)
@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_file_of_a_finished_run_is_one_line(
    copy: Callable[[str], Path], name: str, kind: str
) -> None:
    folder = copy("finished")
    DAMAGES[kind](folder / "run" / name)
    with pytest.raises(InputError) as caught:
        fit(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        value("num_classes", 10**15),
        value("num_classes", 10**9),
        value("preprocess", "size", 10**9),
        value("normalization", "std", [0, 0, 0]),
        value("train_counts", [10**400]),
        value("network", "name", "\x1b[2J"),
    ],
)
def test_absurd_numbers_of_a_model_allocate_nothing(
    copy: Callable[[str], Path], change: Change
) -> None:
    folder = copy("finished")
    change(Run(folder / "run").model)
    with pytest.raises(InputError):
        Run.open(folder / "run").load()


def test_results_are_regular_files(copy: Callable[[str], Path]) -> None:
    result = Run(copy("finished") / "run").summary
    pipe(result)
    for path in (result, Path("/dev/zero"), result.parent):
        with pytest.raises(InputError, match="expected a result file"):
            read_result(path)


@pytest.mark.parametrize("content", ["", "[1]", '{"a": [NaN', "[" * 5000])
def test_a_kept_file_is_named_where_it_is_damaged(tmp_path: Path, content: str) -> None:
    file = tmp_path / "journal.json"
    file.write_text(content)
    with pytest.raises(InputError, match=r"journal\.json is damaged .*delete it"):
        Journal(file)


def test_arrays_that_would_grow_are_not_read(tmp_path: Path) -> None:
    file = tmp_path / "index.npz"
    np.savez_compressed(file, a=np.zeros(10**7))
    with pytest.raises(InputError, match="compressed arrays"), read_arrays(file):
        pass
    np.savez(file, a=np.zeros(10))
    with read_arrays(file) as arrays:
        assert len(arrays["a"]) == 10
