"""Where a student's soft targets come from: the teacher of its recipe, running or replayed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision

from edge_fgir._errors import InputError
from edge_fgir._files import sha256
from edge_fgir.data import DataSet, files_of
from edge_fgir.data.loaders import TrainImages, all_images
from edge_fgir.models import class_activation_maps, normalized
from edge_fgir.runs import Recipe, Run, TeacherSection, View
from edge_fgir.training.soft_targets import LiveTeacher, SoftTargetSource
from edge_fgir.training.teacher_cache import CachedTeacher, CacheSource, TeacherCache

_BATCH = 32
_KEY_DIGITS = 12


@dataclass(frozen=True)
class Teacher:
    """A trained model that a student is to learn from.

    Attributes:
        section: The recipe's wishes.
        views: Views it is to make.
        run: Its run folder.
        device: Where it runs.
        precision: What it computes in.
    """

    section: TeacherSection
    views: tuple[View, ...]
    run: Run
    device: torch.device
    precision: str

    @classmethod
    def find(
        cls, recipe: Recipe, data: DataSet, device: torch.device, precision: str
    ) -> Teacher | None:
        """Return the recipe's teacher, or None if it has none.

        Raises:
            InputError: The run is not there, knows other classes, or takes or makes no such views.
        """
        if recipe.teacher is None:
            return None
        run = Run.open(Path(recipe.teacher.run))
        run.check_classes(data)
        described, side = run.description, recipe.data.view_size
        own = described.preprocess.size
        described.check_side(side, f"teacher {run.path} at data.view_size {side}", f"its own {own}")
        views = recipe.views if recipe.method == "tgda" else ()
        if views and not described.network.attention_maps:
            _check_maps(run)
        return cls(recipe.teacher, views, run, device, precision)

    def live(self) -> LiveTeacher:
        """Load the teacher to run in every step."""
        placed = self.run.load().to(self.device).to(memory_format=torch.channels_last)
        return LiveTeacher(placed, self.section, self.views, self.precision)

    def target_source(
        self, images: TrainImages, fingerprint: dict[str, Any], workers: int
    ) -> SoftTargetSource:
        """Return the source of soft targets that the recipe asks for.

        Args:
            images: The train split as the student sees it.
            fingerprint: What ``images`` depend on.
            workers: Loader processes while a cache is filled.
        """
        if not self.section.cache_variants:
            return self.live()
        normalization = self.run.description.normalization
        source = CacheSource(
            facts={**self._facts(), **fingerprint},
            pictures=lambda variant: all_images(images, variant, _BATCH, workers),
            prepare=lambda pixels: normalized(pixels.to(self.device), normalization),
            teacher=_once(self.live),
            count=len(images),
            seed=self.section.cache_seed,
        )
        root = Path(self.section.cache_folder or self.run.caches)
        return CachedTeacher(TeacherCache(root, source), self.views, self.device)

    def _facts(self) -> dict[str, Any]:
        described = self.run.description
        return {
            "teacher": self.run.weights_hash,
            "architecture": described.network.name,
            "options": described.network.options,
            "normalization": described.normalization.model_dump(mode="json"),
            "mode": self.section.mode,
            "first_maps": self.section.first_maps,
            "views": list(self.views),
            "precision": self.precision,
            # Caches that were filled before there was a choice are still found.
            **({"seed": self.section.cache_seed} if self.section.cache_seed else {}),
        }


def train_fingerprint(data: DataSet, recipe: Recipe) -> dict[str, Any]:
    """Return what the augmented training pictures depend on: files, order, transforms."""
    samples = data.split("train")
    files = {file: file.stat() for file in files_of(samples)}
    lines = [f"{file.name} {stat.st_size} {stat.st_mtime_ns}" for file, stat in files.items()]
    return {
        "data": data.info.hash,
        "files": sha256("\n".join(lines).encode(errors="surrogateescape")),
        "pictures": len(samples),
        "transform": recipe.data.fingerprint(),
        "torchvision": torchvision.__version__,
    }


def training_key(recipe: Recipe, fingerprint: dict[str, Any], digest: Callable[[Path], str]) -> str:
    """Return the content hash of a training: of its recipe, its pictures, and the weights it reads.

    Args:
        recipe: The recipe; its paths count.
        fingerprint: What :func:`train_fingerprint` says.
        digest: Hashes a file.

    Raises:
        InputError: The teacher has not been trained.
    """
    start = Path(recipe.model.weights)
    teacher = [] if recipe.teacher is None else [Run(Path(recipe.teacher.run)).weights]
    weights = [*teacher, *([start] if start.is_file() else [])]
    facts = {
        "recipe": recipe.model_dump(mode="json"),
        "data": fingerprint,
        "weights": [digest(path) for path in weights],
    }
    return sha256(json.dumps(facts, sort_keys=True).encode())[:_KEY_DIGITS]


def _once(make: Callable[[], LiveTeacher]) -> Callable[[], LiveTeacher]:
    """Return a function that makes the teacher on its first call and keeps it."""
    made: list[LiveTeacher] = []

    def get() -> LiveTeacher:
        if not made:
            made.append(make())
        return made[0]

    return get


def _check_maps(run: Run) -> None:
    """Raise InputError unless a plain teacher gives class activation maps; nothing is computed."""
    described = run.description
    size = described.preprocess.size
    model = described.build(meta=True).eval()
    try:
        class_activation_maps(model, torch.zeros(1, 3, size, size, device="meta"))
    except InputError as error:
        raise InputError(
            f"teacher {run.path} cannot make views: {error}",
            "a CAL teacher for method tgda",
            "train one with method cal, or use method kd",
        ) from error
