"""Cells: the trainings of a sweep, each identified by what its result depends on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import JsonValue

from edge_fgir._errors import InputError
from edge_fgir._files import sha256
from edge_fgir.data import BUILT_IN, Split, open_data
from edge_fgir.runs import DataSection
from edge_fgir.runtime import DataInfo
from edge_fgir.sweeping.sweep import Changes, Sweep
from edge_fgir.training import Recipe, read_recipe, train_fingerprint, training_key

CELLS = "cells"


@dataclass(frozen=True)
class Cell:
    """One training and its evaluation.

    Attributes:
        key: Content hash of the recipe, the data, and the weights that it starts or learns from.
        source: Its data: an absolute folder or a built-in name.
        data: What that is.
        seed: Of the training.
        changes: The recipe keys in which it differs from other cells, with their values.
        recipe: The whole recipe, with absolute paths: a worker has another working folder.
        split: The split that is evaluated; the training does not depend on it.
    """

    key: str
    source: str
    data: DataInfo
    seed: int
    changes: Changes
    recipe: Recipe
    split: Split

    @property
    def label(self) -> str:
        """A description for people."""
        return f"{self.data.name}: {changes_text(self.changes)}, seed {self.seed}"

    def run(self, out: Path) -> Path:
        """Return its run folder inside the folder of a sweep."""
        return out / CELLS / self.key


def changes_text(changes: Mapping[str, JsonValue]) -> str:
    """Return changes as ``key=value, key=value``."""
    return ", ".join(f"{key}={_yaml(value)}" for key, value in changes.items()) or "as the recipe"


def make_cells(sweep: Sweep, folder: Path) -> tuple[Cell, ...]:
    """Return all cells of a sweep, after checking every recipe, data set, teacher and network.

    Args:
        sweep: What to train.
        folder: The folder of the sweep file.

    Raises:
        InputError: A cell cannot be trained, or two are the same.
    """
    inputs = _SharedInputs()
    cells: dict[str, Cell] = {}
    for name in sweep.data:
        source = _source(name, folder)
        for changes in sweep.changes():
            for seed in sweep.seeds:
                label = f"sweep {sweep.name}, cell {name}: {changes_text(changes)}, seed {seed}"
                try:
                    recipe = _read(sweep, folder, {**changes, "seed": seed})
                    data = inputs.data(source)
                    for split in ("train", "val", sweep.split):
                        data.split(split)
                    if recipe.data.with_val and sweep.split == "val":
                        raise InputError(
                            "a choice by val, which data.with_val learns from",
                            "data.with_val false, or split test",
                        )
                    inputs.check_network(recipe, len(data.classes))
                    key = inputs.key(source, recipe)
                except InputError as error:
                    raise InputError(f"{label}: {error}") from error
                if key in cells:
                    same = cells[key]
                    raise InputError(f"{label} is the same training as {same.label}", "it once")
                cells[key] = Cell(key, source, data.info, seed, changes, recipe, sweep.split)
    return _with_distinct_names(tuple(cells.values()))


class _SharedInputs:
    """Inputs that many cells share; each is opened and checked once."""

    def __init__(self) -> None:
        self.data = cache(lambda source: open_data(source))
        self._digest = cache(lambda path: sha256(path.read_bytes()))
        self._fingerprints: dict[tuple[str, DataSection], dict[str, Any]] = {}
        self._networks: set[str] = set()

    def check_network(self, recipe: Recipe, classes: int) -> None:
        """Raise InputError if the network cannot be built; nothing is allocated."""
        model, size = recipe.model, recipe.eval.image_size
        key = model.key(classes, size)
        if key not in self._networks:
            model.build(classes, size, meta=True)
            self._networks.add(key)

    def key(self, source: str, recipe: Recipe) -> str:
        """Return the content hash of a training.

        Raises:
            InputError: The teacher has not been trained.
        """
        known = (source, recipe.data)
        if known not in self._fingerprints:
            data = self.data(source)
            self._fingerprints[known] = train_fingerprint(data, recipe)
        return training_key(recipe, self._fingerprints[known], self._digest)


def _source(name: str, folder: Path) -> str:
    beside = (folder / name).resolve()
    return name if name in BUILT_IN and not beside.is_dir() else str(beside)


def _read(sweep: Sweep, folder: Path, changes: Mapping[str, JsonValue]) -> Recipe:
    beside = folder / sweep.recipe
    values = {**sweep.fixed, **changes}
    overrides = [f"{key}={_yaml(value)}" for key, value in values.items()]
    recipe = read_recipe(str(beside) if beside.is_file() else sweep.recipe, overrides)
    # A run resumes only with the recipe that it began with; ``about`` has no influence on it.
    update: dict[str, Any] = {"about": ""}
    if recipe.teacher is not None:
        paths = {"run": recipe.teacher.run, "cache_folder": recipe.teacher.cache_folder}
        absolute = {key: str(Path(path).resolve()) for key, path in paths.items() if path}
        update["teacher"] = recipe.teacher.model_copy(update=absolute)
    weights = Path(recipe.model.weights)
    if weights.is_file():
        update["model"] = recipe.model.model_copy(update={"weights": str(weights.resolve())})
    return recipe.model_copy(update=update)


def _yaml(value: JsonValue) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"))
    return text.strip().removesuffix("...").strip()


def _with_distinct_names(cells: tuple[Cell, ...]) -> tuple[Cell, ...]:
    """Name data sets that share a name after their folders."""
    sources = {(cell.data.name, cell.source) for cell in cells}
    count = Counter(name for name, _ in sources)
    return tuple(
        replace(cell, data=cell.data.model_copy(update={"name": cell.source}))
        if count[cell.data.name] > 1
        else cell
        for cell in cells
    )
