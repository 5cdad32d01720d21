"""Pairs of classes that a model confuses, with the pictures that show why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edge_fgir.reporting.comparison import Comparison
from edge_fgir.reporting.pictures import THUMBNAIL, embed_again
from edge_fgir.reporting.rows import Row
from edge_fgir.results import ClassifiedImage, ConfusedPair, Evaluation, SplitPicture

_PAIRS, _PICTURES = 10, 3


@dataclass(frozen=True)
class Example:
    """A picture of the split.

    Attributes:
        image: What it is and what it was taken for.
        file: Its own name.
        picture: It as a data address; None where it cannot be shown.
    """

    image: ClassifiedImage
    file: str
    picture: str | None


@dataclass(frozen=True)
class Side:
    """One class of a pair.

    Attributes:
        name: Of the class.
        other: Of the class it is taken for.
        images: How many it has.
        taken: How many of them were taken for the other.
        reference: One that was recognised.
        mistakes: Some that were taken for the other.
    """

    name: str
    other: str
    images: int
    taken: int
    reference: Example | None
    mistakes: tuple[Example, ...]


@dataclass(frozen=True)
class Confusion:
    """Two classes and their confusions; ``share`` of their images, percent."""

    sides: tuple[Side, Side]
    count: int
    images: int
    share: float


@dataclass(frozen=True)
class Confusions:
    """The most confused pairs of one evaluation, and the row it belongs to."""

    row: Row
    evaluation: Evaluation
    pairs: tuple[Confusion, ...]


def make_confusions(comparisons: Iterable[Comparison]) -> tuple[Confusions, ...]:
    """Return the confused pairs of each comparison's first evaluation, where there are any."""
    groups = []
    for comparison in comparisons:
        evaluation = comparison.first
        pictures = {picture.index: picture for picture in evaluation.pictures}
        pairs = tuple(_confusion(pair, pictures) for pair in evaluation.confused_pairs[:_PAIRS])
        if pairs:
            groups.append(Confusions(comparison.rows[0], evaluation, pairs))
    return tuple(groups)


def _confusion(pair: ConfusedPair, pictures: Mapping[int, SplitPicture]) -> Confusion:
    first, second = (_side(pair, index, pictures) for index in (0, 1))
    return Confusion((first, second), sum(pair.confused), sum(pair.images), pair.share)


def _side(pair: ConfusedPair, index: int, pictures: Mapping[int, SplitPicture]) -> Side:
    name = pair.classes[index]
    references = [_example(image, pictures) for image in pair.references if image.truth == name]
    mistakes = [_example(image, pictures) for image in pair.mistakes if image.truth == name]
    return Side(
        name=name,
        other=pair.classes[1 - index],
        images=pair.images[index],
        taken=pair.confused[index],
        reference=references[0] if references else None,
        mistakes=tuple(mistakes[:_PICTURES]),
    )


def _example(image: ClassifiedImage, pictures: Mapping[int, SplitPicture]) -> Example:
    picture = pictures.get(image.index)
    if picture is None:
        return Example(image, "", None)
    return Example(image, picture.file, embed_again(picture.picture, THUMBNAIL))
