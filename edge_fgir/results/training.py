"""How a training went, and which teacher promises the best student."""

from __future__ import annotations

import re
from typing import ClassVar

from pydantic import (
    ConfigDict,
    FiniteFloat,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from edge_fgir.results.base import Record, Result
from edge_fgir.runtime import DataInfo

_SETTING = re.compile(r"val_top1_\d+(_[\d.e-]+)?")


class Validation(Record):
    """Accuracy on the validation split, percent; None where it was not measured.

    An elastic run also has ``val_top1_<size>`` or ``val_top1_<size>_<keep rate>`` for each of its
    smaller settings: they are read through :attr:`by_setting`.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, FiniteFloat]

    val_top1: FiniteFloat | None = None
    val_macro: FiniteFloat | None = None

    @property
    def by_setting(self) -> dict[str, float]:
        """Top-1 at the smaller settings of an elastic run, by ``val_top1_<setting>``."""
        return dict(self.__pydantic_extra__)

    @model_validator(mode="after")
    def _no_other_fields(self) -> Validation:
        for name in self.__pydantic_extra__:
            if not _SETTING.fullmatch(name):
                raise ValueError(f"unknown field {name}")
        return self


class HistoryLine(Validation):
    """One line of a training's log: the loss of an epoch, or its validation."""

    step: int
    epoch: int
    loss: FiniteFloat | None = None

    @model_serializer(mode="wrap")
    def _without_gaps(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        return {name: value for name, value in serialize(self).items() if value is not None}


class TeacherCacheSize(Record):
    """Where a teacher's answers are kept, for how many draws of the augmentation, and how large."""

    folder: str
    variants: int
    bytes: int


class Training(Validation, Result):
    """A ``training`` result: the ``summary.json`` of a run folder.

    Attributes:
        name: The recipe's.
        method: ``ce``, ``kd``, ``tgda`` or ``cal``.
        architecture: As timm registers it.
        data: What was learned from.
        steps: Optimiser steps.
        epochs: Of the recipe.
        seconds: That training took.
        waited_for_data: Share of that time spent waiting for pictures, 0 to 1.
        device: Of torch.
        processes: That trained together.
        precision: Of the forward pass.
        views: That the teacher made of every picture.
        teacher_cache: None where the teacher answered anew each time, or without a teacher.
        interpolated: Share of the way from the first weights to the last ones that was kept; None:
            all of it, without asking.
        classifier_tau: By which power of their norms the classifier's weights were divided; None:
            they are as they were learned.
        history: Losses and validations, in the order of the steps.
    """

    model_config = ConfigDict(extra="allow")  # of two bases the last one's would hold
    kind: ClassVar[str] = "training"

    name: str
    method: str
    architecture: str
    data: DataInfo
    steps: int
    epochs: int
    seconds: FiniteFloat
    waited_for_data: FiniteFloat = 0.0
    device: str
    processes: int = 1
    precision: str
    views: tuple[str, ...] = ("crop", "drop")
    teacher_cache: TeacherCacheSize | None = None
    interpolated: FiniteFloat | None = None
    classifier_tau: FiniteFloat | None = None
    history: tuple[HistoryLine, ...] = ()

    @property
    def caption(self) -> str:
        """What this result says of what, for a list."""
        return f"training of {self.name}"


class RankedTeacher(Record):
    """A candidate of ``edge-fgir rank-teachers``.

    Attributes:
        rank: 1 is the best.
        run: Run folder.
        name: The recipe's name.
        architecture: timm name of the network (of a CAL teacher, its backbone).
        method: How it was trained.
        r12: Ratio 1-2; None where every sample was skipped.
        skipped: Share of training pictures without a ratio, percent.
        tac: Teacher accuracy: top-1 on the validation split, percent; None where it was trained on
            that as well.
        ssp: Spread of the 2nd to 4th largest probability; None below four classes.
        images: Training pictures that were looked at.
    """

    rank: int
    run: str
    name: str = ""
    architecture: str
    method: str
    r12: FiniteFloat | None
    skipped: FiniteFloat
    tac: FiniteFloat | None
    ssp: FiniteFloat | None
    images: int


class Teachers(Result):
    """A ``teachers`` result: candidates in the order of their ranks."""

    kind: ClassVar[str] = "teachers"

    data: DataInfo
    split: str = "train"
    teachers: tuple[RankedTeacher, ...]

    @property
    def caption(self) -> str:
        """What this result says of what, for a list."""
        return f"ranking of {len(self.teachers)} teachers"

    @property
    def methods(self) -> tuple[str, ...]:
        """How they were trained: more than one way makes the ranking doubtful."""
        return tuple(sorted({teacher.method for teacher in self.teachers}))
