"""How accurate a model is on the images of a split."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, FiniteFloat, JsonValue, NonNegativeInt, model_validator

from edge_fgir.results.base import Record, Result, Subject
from edge_fgir.runtime import DataInfo

Interval = tuple[FiniteFloat, FiniteFloat]
"""The ends of a 95 % interval."""


class TopOne(Record):
    """Top-1 accuracy and the ends of its 95 % interval, percent."""

    top1: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat


class ClassAccuracy(Record):
    """One class; ``top1`` (percent) is None where it has no images.

    ``train_images`` and the shot ``group`` are None where the training set is not known.
    """

    name: str
    images: int
    top1: FiniteFloat | None
    train_images: int | None = None
    group: str | None = None


class ShotAccuracy(Record):
    """A shot group: the classes that were learned from about equally many images.

    Attributes:
        group: ``many``, ``medium`` or ``few``.
        train_images: The range of training images of its classes, for people.
        classes: How many classes it has.
        tested: How many of them have images in the split.
        images: Images of its classes.
        top1: Mean accuracy of the tested classes, percent; None without any.
    """

    group: str
    train_images: str
    classes: int
    tested: int
    images: int
    top1: FiniteFloat | None


class ClassifiedImage(Record):
    """One image of the split by its ``index`` there, its class, the answer and its score."""

    index: int
    truth: str
    answer: str
    score: FiniteFloat


class ConfusedPair(Record):
    """Two classes that are taken for each other.

    Attributes:
        classes: Their names.
        images: Images of each.
        confused: How many of the first were taken for the second, and the other way round.
        share: Of the two classes' images that are such confusions, percent.
        mistakes: Some of them, those with the highest scores.
        references: Of each class the image that was recognised with the highest score.
    """

    classes: tuple[str, str]
    images: tuple[int, int]
    confused: tuple[int, int]
    share: FiniteFloat
    mistakes: tuple[ClassifiedImage, ...]
    references: tuple[ClassifiedImage, ...]


class SplitPicture(Record):
    """A small picture of one image of the split, as a data address."""

    index: int
    file: str
    picture: str


class VisitAccuracy(Record):
    """Accuracy where the pictures of a visit vote; percent.

    Attributes:
        grouping: What makes a visit: ``folder``, ``frigate``, ``name:REGEX`` or ``time:SECONDS``.
        visits: How many there are.
        largest: Pictures of the largest one.
        single: How many have one picture alone.
        top1: Share of visits whose answer is right.
        top1_interval: Its 95 % interval.
        picture_interval: The 95 % interval of the top-1 accuracy a picture, which takes the
            pictures of a visit for alike.
    """

    grouping: str
    visits: int = Field(gt=0)
    largest: int
    single: int
    top1: FiniteFloat
    top1_interval: Interval
    picture_interval: Interval

    def __str__(self) -> str:
        low, high = self.top1_interval
        return (
            f"top-1 {self.top1:.2f} % of {self.visits} visits, 95 % interval {low:.2f} to "
            f"{high:.2f} %; as pictures of a visit are alike, top-1 a picture lies between "
            "{:.2f} and {:.2f} %".format(*self.picture_interval)
        )


class Metrics(Record):
    """What follows from probabilities and labels; accuracies in percent.

    Attributes:
        top1: Share of images whose most probable class is right.
        top1_interval: Its 95 % interval.
        top5: Share of images whose class is among the five most probable.
        macro: Mean of the classes' accuracies.
        macro_f1: Mean of the classes' F1.
        worst_decile: Mean accuracy of the tenth of the classes that do worst.
        ece: Expected calibration error.
        images: How many images were answered.
        classes: Every class, in the order of the labels.
        confusion: Images by (true class, answered class).
        confused_pairs: The pairs that are confused most.
        shots: Shot groups; empty where the training set is not known.
    """

    top1: FiniteFloat
    top1_interval: Interval
    top5: FiniteFloat
    macro: FiniteFloat
    macro_f1: FiniteFloat
    worst_decile: FiniteFloat
    shots: tuple[ShotAccuracy, ...] = ()
    ece: FiniteFloat
    images: int = Field(gt=0)
    classes: tuple[ClassAccuracy, ...] = Field(min_length=1)
    confusion: tuple[tuple[NonNegativeInt, ...], ...]
    confused_pairs: tuple[ConfusedPair, ...] = ()

    @model_validator(mode="after")
    def _square(self) -> Metrics:
        if {len(self.classes)} != {len(self.confusion), *map(len, self.confusion)}:
            raise ValueError("confusion must have one row and one column a class")
        return self


class EvaluatedModel(Subject):
    """A subject whose accuracy is measured.

    Attributes:
        model_bytes: Size of the model's files.
        cal_teacher: The run is a CAL teacher, which also has a full inference.
        reduction: Token reduction that a run was evaluated with.
        logit_adjustment: tau of the logit adjustment; None: none.
    """

    model_bytes: int
    cal_teacher: bool = False
    reduction: dict[str, JsonValue] | None = None
    logit_adjustment: FiniteFloat | None = None


class Evaluation(Metrics, EvaluatedModel, Result):
    """An ``evaluation`` result.

    It is made of a model, metrics and the rest::

        Evaluation(**dict(model), **dict(metrics), split="test", data=data.info,
                   environment=environment())

    Attributes:
        split: Which images were answered.
        data: The data set.
        data_change: How it differs from what a run was trained on; empty: not at all, or not known.
        pictures: Those that the confused pairs speak of.
        visits: Accuracy a visit; None: nobody asked how pictures belong together.
    """

    kind: ClassVar[str] = "evaluation"

    split: str
    data: DataInfo
    data_change: str = ""
    pictures: tuple[SplitPicture, ...] = ()
    visits: VisitAccuracy | None = None

    @property
    def caption(self) -> str:
        """What this result says of what, for a list."""
        return f"accuracy of {self.title}"

    @property
    def weakest(self) -> tuple[ClassAccuracy, ...]:
        """The classes that are not always right, the least accurate first."""
        wrong = [each for each in self.classes if each.top1 is not None and each.top1 < 100]
        return tuple(sorted(wrong, key=lambda each: each.top1 or 0.0))

    @property
    def images_key(self) -> tuple[str, ...]:
        """Equal for evaluations that saw the same images under the same class names."""
        return (self.data.hash, self.split, *(each.name for each in self.classes))
