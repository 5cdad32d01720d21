"""Recipes: every choice of a training run, checked as a whole, read from YAML."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import Field, ValidationError, model_validator

from edge_fgir import _resources
from edge_fgir._dotted import dotted
from edge_fgir._errors import InputError
from edge_fgir._refusal import validated
from edge_fgir._yaml import parse_yaml, read_yaml
from edge_fgir.models import Network
from edge_fgir.runs.sections import (
    DataSection,
    ElasticSection,
    EvalSection,
    LengthSection,
    LossSection,
    OptimizerSection,
    Section,
    TeacherSection,
)
from edge_fgir.runtime import Preprocess

MethodName = Literal["probe", "ce", "cal", "kd", "tgda"]
View = Literal["crop", "drop", "mix"]

FREE = frozenset({"data.workers"})
"""Keys that change nothing of what is learned: another machine may want others."""
RESUMABLE = FREE | {"optimizer.lr", "optimizer.clip_norm", "precision"}
"""Keys that may change when an unfinished run goes on: also what lost numbers ask for."""

LARGEST_SEED = 2**53
"""The largest integer up to which JSON's readers agree on all."""

_S = TypeVar("_S", bound=Section)


class Recipe(Section):
    """One training run."""

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    about: Annotated[str, Field(description="what it is for and what it reaches")] = ""
    method: Annotated[
        MethodName,
        Field(
            description="probe: a head on frozen features; ce; cal: a teacher; kd: soft labels; "
            "tgda: kd with views"
        ),
    ]
    epochs: Annotated[
        int, Field(ge=0, description="passes over the pictures; 0: none (probe), or as length says")
    ] = 0
    length: Annotated[
        LengthSection | None,
        Field(description="how epochs and more follow from data and processor; null: as given"),
    ] = None
    batch_size: Annotated[int, Field(ge=1)] = 8
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 0
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"],
        Field(
            description="autocast; auto: fp16 on a GPU, bf16 on a CPU that computes it, else fp32"
        ),
    ] = "auto"
    compile: Annotated[bool, Field(description="torch.compile the network; not for CAL")] = False
    quantization_aware: Annotated[
        bool, Field(description="what learns computes as INT8 will; for a few epochs at the end")
    ] = False
    frozen_norms: Annotated[
        bool,
        Field(
            description="the backbone's BatchNorm keeps the statistics that it starts with: for "
            "fine-tuning in small batches"
        ),
    ] = False
    interpolation: Annotated[
        bool,
        Field(
            description="keep, of the weights between the first and the last ones, those that are "
            "best on val (WiSE-FT): for fine-tuning from a trained head"
        ),
    ] = False
    normalized_classifier: Annotated[
        bool,
        Field(
            description="at the end, divide each class's weights by a power of their norm, the "
            "best on val for the mean over classes: for long-tailed data"
        ),
    ] = False
    checkpoint_steps: Annotated[int, Field(ge=1, description="save the state every N steps")] = 200
    views: Annotated[
        tuple[View, ...], Field(min_length=1, description="views of the methods cal and tgda")
    ] = ("crop", "drop")
    model: Network
    data: DataSection = DataSection()
    eval: EvalSection = EvalSection()
    optimizer: OptimizerSection = OptimizerSection()
    loss: LossSection = LossSection()
    teacher: TeacherSection | None = None
    elastic: ElasticSection | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if self.method == "probe" and (self.epochs or self.length is not None):
            raise ValueError("method probe has neither epochs nor length")
        if self.method != "probe" and (self.epochs > 0) == (self.length is not None):
            raise ValueError("either epochs or length must be given")
        if len(set(self.views)) < len(self.views):
            raise ValueError("views names one twice")
        if (self.method in ("kd", "tgda")) != (self.teacher is not None):
            raise ValueError(f"method {self.method} and teacher do not go together")
        if (self.method == "cal") != (self.model.attention_maps > 0):
            raise ValueError(
                f"method {self.method} and model.attention_maps {self.model.attention_maps} "
                "do not go together"
            )
        if self.teacher is not None and self.teacher.cache_variants:
            if self.teacher.mode == "train":
                raise ValueError(
                    "teacher.mode train answers differently in every batch and cannot be cached"
                )
            if self.method == "tgda" and "mix" in self.views:
                raise ValueError("mix views depend on the batch and cannot be cached")
        if self.frozen_norms and self.model.weights == "random":
            raise ValueError("frozen_norms needs a trained network: set model.weights")
        if self.normalized_classifier and self.method in ("cal", "probe"):
            raise ValueError(f"normalized_classifier is not for method {self.method}")
        chooses = self.method == "probe" or self.interpolation or self.normalized_classifier
        if self.data.with_val and chooses:
            raise ValueError(
                "data.with_val leaves no pictures to choose by, which method probe, interpolation "
                "and normalized_classifier do"
            )
        if self.normalized_classifier and self.elastic is not None:
            raise ValueError("normalized_classifier is not for elastic, which has many settings")
        if self.interpolation and not self.frozen_norms:
            raise ValueError(
                "interpolation needs frozen_norms: BatchNorm statistics have nothing in between"
            )
        if self.method == "probe" and self.model.weights == "random":
            raise ValueError("method probe needs a trained network: set model.weights")
        if self.epochs:
            self.optimizer.check(self.epochs)
        if self.model.adapters is not None:
            if self.model.weights == "random":
                raise ValueError("model.adapters need a trained backbone: set model.weights")
            if self.elastic is not None:
                raise ValueError("elastic is not for model.adapters, whose backbone is frozen")
        if self.loss.classification != "ce" and self.method == "cal":
            raise ValueError(f"loss.classification {self.loss.classification} is not for cal")
        if self.loss.deferred and (self.loss.classification == "ce" or self.method == "probe"):
            raise ValueError("loss.deferred needs steps, and another loss.classification than ce")
        if self.loss.classification == "focal" and self.loss.label_smoothing:
            raise ValueError("loss.classification focal needs loss.label_smoothing 0")
        if self.optimizer.decay_epochs and self.optimizer.cooldown_epochs:
            raise ValueError("optimizer.decay_epochs and cooldown_epochs do not go together")
        if self.eval.two_steps and not self.eval.antialias:
            raise ValueError("eval.two_steps needs eval.antialias true, for its first step")
        if self.compile and self.method == "cal":
            raise ValueError("compile is not for method cal")
        if self.compile and self.quantization_aware:
            raise ValueError("compile is not for quantization_aware")
        if self.elastic is not None:
            if self.method == "cal":
                raise ValueError("elastic is not for method cal")
            self.elastic.check(self.eval.image_size, self.model.reduction)
        return self

    @property
    def preprocess(self) -> Preprocess:
        """What becomes of a picture in evaluation and on the device."""
        return self.eval.preprocess(self.data.view_size)

    def resolved(self, images: int, *, gpu: bool, cpus: int) -> Recipe:
        """Return it with numbers where ``length`` lets them follow from data and processor.

        Args:
            images: Training pictures.
            gpu: Training runs on one.
            cpus: Cores, of which a GPU's loader takes some.

        Raises:
            InputError: Warm-up and cool-down leave no epoch.
        """
        length = self.length
        if length is None:
            return self
        batch = min(length.gpu_batch if gpu else self.batch_size, images)
        epochs = length.epochs(images, batch, gpu=gpu)
        warm_up = round(length.warmup * epochs * (images // batch))
        workers = max(self.data.workers, min(cpus - 1, 8)) if gpu else self.data.workers
        try:
            self.optimizer.check(epochs)
        except ValueError as error:
            raise InputError(f"recipe {self.name}: {error}", "fewer of them") from error
        return self.model_copy(
            update={
                "length": None,
                "epochs": epochs,
                "batch_size": batch,
                "data": _filled(self.data, workers=workers),
                "eval": _filled(self.eval, every_epochs=max(epochs // 4, 1)),
                "optimizer": _filled(self.optimizer, warmup_steps=warm_up),
            }
        )

    def resolved_as(self, dumped: str) -> Recipe:
        """Return it with the numbers of a dumped one where ``length`` lets them follow.

        So a run goes on as it began, whatever pictures or processor it goes on with.

        Raises:
            InputError: The dump is no recipe.
        """
        if self.length is None:
            return self
        values = parse_yaml(dumped, "the recipe of an earlier training")
        begun = validated(Recipe, values, "the recipe of an earlier training", "a recipe")
        return self.model_copy(
            update={
                "length": None,
                "epochs": begun.epochs,
                "batch_size": begun.batch_size,
                "data": _filled(self.data, workers=begun.data.workers),
                "eval": _filled(self.eval, every_epochs=begun.eval.every_epochs),
                "optimizer": _filled(self.optimizer, warmup_steps=begun.optimizer.warmup_steps),
            }
        )

    def dump(self) -> str:
        """Return the recipe as YAML."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    def changes(self, dumped: str) -> list[str]:
        """Name the keys in which this recipe differs from a dumped one."""
        values = parse_yaml(dumped, "the recipe of an earlier training")
        values = values if isinstance(values, dict) else {}
        with suppress(ValidationError, InputError):
            # Keys that are younger than the dump are at their defaults there.
            values = Recipe.model_validate(values).model_dump(mode="json")
        before, own = dict(dotted(values)), dict(dotted(self.model_dump(mode="json")))
        return [key for key in sorted({*before, *own}) if before.get(key) != own.get(key)]


def _filled(section: _S, **values: int) -> _S:
    """Return a section with values for those keys that nobody has set."""
    update = {key: value for key, value in values.items() if key not in section.model_fields_set}
    return section.model_copy(update=update)


def read_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe by shipped name or path.

    Args:
        name: A name of ``edge-fgir recipes list``, or a YAML file.
        overrides: ``key=value`` texts; a dotted key reaches into a section, a value is YAML.

    Raises:
        InputError: There is no such recipe, or a key or value is wrong.
    """
    path = Path(name)
    if not path.is_file():
        path = _resources.folder("recipes") / f"{name}.yaml"
        if not path.is_file():
            known = _resources.names("recipes")
            near = difflib.get_close_matches(name, known, n=3) or known
            raise InputError(
                f"no recipe {name!r}",
                f"a YAML file or one of {', '.join(near)}",
                "run: edge-fgir recipes list",
            )
    values = read_yaml(path)
    for override in overrides:
        _apply(values, override)
    return validated(Recipe, values, f"recipe {path}", "a legal key and value")


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise InputError(f"--set {override}", "key=value, such as optimizer.lr=1e-3")
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise InputError(f"--set {override}: {section} is a value", "a section")
    # YAML 1.1 reads 1e-3 as text; pydantic turns it into the number it is.
    values[last] = parse_yaml(text, f"--set {override}")
