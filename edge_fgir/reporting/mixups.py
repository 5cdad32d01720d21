"""Pairs of classes that a model mixes up, with the pictures that show why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edge_fgir.reporting.comparison import Comparison
from edge_fgir.reporting.documents import ConfusedPair, Evaluation, Look, SplitPicture
from edge_fgir.reporting.pictures import THUMBNAIL, embed_again
from edge_fgir.reporting.rows import Row

_PAIRS, _PICTURES = 10, 3


@dataclass(frozen=True)
class Shot:
    """A picture of the split.

    Attributes:
        look: What it is and what it was taken for.
        file: Its own name.
        picture: It as a data address; None where it cannot be shown.
    """

    look: Look
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
    reference: Shot | None
    mistakes: tuple[Shot, ...]


@dataclass(frozen=True)
class Mixup:
    """Two classes and their confusions; ``share`` of their images, percent."""

    sides: tuple[Side, Side]
    count: int
    images: int
    share: float


@dataclass(frozen=True)
class Mixups:
    """The most confused pairs of one evaluation, and the row it belongs to."""

    row: Row
    found: Evaluation
    pairs: tuple[Mixup, ...]


def make_mixups(comparisons: Iterable[Comparison]) -> tuple[Mixups, ...]:
    """Return the confused pairs of each comparison's first evaluation, where there are any."""
    groups = []
    for one in comparisons:
        pictures = {picture.index: picture for picture in one.first.pictures}
        pairs = tuple(_mixup(pair, pictures) for pair in one.first.confused_pairs[:_PAIRS])
        if pairs:
            groups.append(Mixups(one.rows[0], one.first, pairs))
    return tuple(groups)


def _mixup(pair: ConfusedPair, pictures: Mapping[int, SplitPicture]) -> Mixup:
    first, second = (_side(pair, place, pictures) for place in (0, 1))
    return Mixup((first, second), sum(pair.confused), sum(pair.images), pair.share)


def _side(pair: ConfusedPair, place: int, pictures: Mapping[int, SplitPicture]) -> Side:
    name = pair.classes[place]
    references = [_shot(one, pictures) for one in pair.references if one.truth == name]
    mistakes = [_shot(one, pictures) for one in pair.mistakes if one.truth == name]
    return Side(
        name=name,
        other=pair.classes[1 - place],
        images=pair.images[place],
        taken=pair.confused[place],
        reference=references[0] if references else None,
        mistakes=tuple(mistakes[:_PICTURES]),
    )


def _shot(look: Look, pictures: Mapping[int, SplitPicture]) -> Shot:
    picture = pictures.get(look.index)
    if picture is None:
        return Shot(look, "", None)
    return Shot(look, picture.file, embed_again(picture.picture, THUMBNAIL))
