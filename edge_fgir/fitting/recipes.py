"""Recipes by role, filled in for a candidate: what a training of it reads and how long it goes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import JsonValue

from edge_fgir.fitting.networks import Candidate
from edge_fgir.runs import Recipe, read_recipe
from edge_fgir.runtime import Preprocess

PROBE, STUDENT, SCRATCH, TEACHER = "probe", "student-pretrained", "student-lrnet14d", "teacher"
"""Shipped recipes that all trainings begin with."""

_RATE, _REPAIRED = 5e-4, 400
"""Peak learning rate of fine-tuning, and the steps from which it is taken: what AdamW's first steps
undo of a pretrained network, few steps cannot repair."""
_LEAST_RATE = 2e-5
_MOST_DRAWS = 4
"""Draws of the augmentation that a teacher is asked about; each costs a look at every picture."""


@dataclass(frozen=True)
class Guide:
    """A teacher as a student's recipe names it.

    Attributes:
        run: Its run folder.
        image_size: Side that it looks at, pixels.
        temperature: At which its answers are learned.
    """

    run: Path
    image_size: int
    temperature: float = 2.0


@dataclass(frozen=True)
class Recipes:
    """Makes the recipes of a fit.

    Attributes:
        images: Training pictures.
        balanced: Rare classes are asked for as much as frequent ones.
    """

    images: int
    balanced: bool

    @property
    def batch(self) -> int:
        """Pictures of a step: 16 on any processor, fewer where there are not that many."""
        return min(16, max(self.images // 2, 1))

    @property
    def steps_per_epoch(self) -> int:
        """Steps in an epoch."""
        return max(self.images // self.batch, 1)

    def preprocess(self, candidate: Candidate) -> Preprocess:
        """Return what a picture goes through before a candidate sees it."""
        return self.training(candidate, 1, start=None, guide=None).preprocess

    def probe(self, candidate: Candidate, start: Path | None = None) -> Recipe:
        """Return the recipe of a head on a candidate's frozen features.

        Args:
            candidate: Whose.
            start: Weights of an earlier training of its network; None: those it comes with.
        """
        return self._read(PROBE, candidate, str(start or candidate.architecture.weights), {})

    def training(
        self, candidate: Candidate, epochs: int, *, start: Path | None, guide: Guide | None
    ) -> Recipe:
        """Return the recipe of a training.

        Args:
            candidate: What learns.
            epochs: How long.
            start: Weights of an earlier training of the same network; None: its own.
            guide: Whose soft labels it learns; None: labels alone, as CAL always does.
        """
        architecture = candidate.architecture
        steps = epochs * self.steps_per_epoch
        changes: dict[str, JsonValue] = {
            "epochs": epochs,
            "length": None,
            "batch_size": self.batch,
            "eval.every_epochs": epochs,
            "optimizer.warmup_steps": min(max(steps // 20, 1), 200),
            # The average must not remember the start when the training is short.
            "optimizer.ema_decay": round(1 - min(max(10 / steps, 0.002), 0.2), 4),
            "checkpoint_steps": 100,
        }
        if architecture.is_pretrained:
            rate = max(_RATE * min(steps / _REPAIRED, 1.0), _LEAST_RATE)
            changes |= {"optimizer.lr": rate, "optimizer.min_lr": rate / 50}
        if architecture.has_head:
            # Without a trained head at the start, what is near it knows nothing.
            changes |= {"interpolation": start is not None}
        weights = architecture.weights if start is None else str(start)
        if architecture.attention_maps:
            return self._read(TEACHER, candidate, weights, changes)
        if guide is None:
            changes |= {"method": "ce", "teacher": None}
        else:
            changes |= {
                "data.view_size": guide.image_size,
                "loss.temperature": guide.temperature,
                "teacher.run": str(guide.run),
                "teacher.cache_variants": min(epochs, _MOST_DRAWS),
            }
        role = STUDENT if architecture.is_pretrained else SCRATCH
        return self._read(role, candidate, weights, changes)

    def _read(
        self, role: str, candidate: Candidate, weights: str, changes: dict[str, JsonValue]
    ) -> Recipe:
        architecture, side = candidate.architecture, candidate.image_size
        network = candidate.network(weights).model_dump(mode="json", exclude_defaults=True)
        values: dict[str, JsonValue] = {
            "name": candidate.name.replace(" ", "-").replace(",", ""),
            "about": "",
            "model": network,
            "data.view_size": side,
            "data.mean": list(architecture.mean),
            "data.std": list(architecture.std),
            "eval.image_size": side,
            **({"loss.classification": "balanced_softmax"} if self.balanced else {}),
            **changes,
        }
        return read_recipe(role, [f"{key}={_yaml(value)}" for key, value in values.items()])


def _yaml(value: JsonValue) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"))
    return text.strip().removesuffix("...").strip()
