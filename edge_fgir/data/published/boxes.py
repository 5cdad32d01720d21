"""Pictures with boxes: those whose boxes are all of one class are pictures of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from edge_fgir._errors import InputError
from edge_fgir.data.dataset import Split
from edge_fgir.data.listed import Listed
from edge_fgir.data.unsplit import shown

CUT_OUT = "cut out what is in each box and save it as <class>/<image>"
"""The way from boxes to pictures of one class."""


class Boxed(NamedTuple):
    """A picture of a data set for object detection.

    Attributes:
        path: Relative to the folder of the pictures, with ``/``.
        classes: What its boxes show, each class once.
        split: Where the data set puts it; None: nowhere.
    """

    path: str
    classes: Collection[str]
    split: Split | None


def of_one_class(
    root: Path, kind: str, pictures: Iterable[Boxed], remedy: str = CUT_OUT
) -> tuple[list[Listed], list[str]]:
    """Return the pictures that show one class, and what to say of the others.

    Args:
        root: The data set.
        kind: What it is called.
        pictures: All of its pictures.
        remedy: What to do where they cannot be read.

    Raises:
        InputError: They show fewer than two classes.
    """
    rows: list[Listed] = []
    others = 0
    known: set[str] = set()
    for picture in pictures:
        known.update(picture.classes)
        if len(picture.classes) == 1:
            rows.append(Listed(picture.path, next(iter(picture.classes)), picture.split))
        else:
            others += 1
    alone = {row.label for row in rows}
    if len(alone) < 2:
        why = f"none of its {others} pictures is of one class"
        if alone:
            why = f"its {len(rows)} pictures of one class all show {min(alone)!r}"
        raise not_readable(root, kind, why, remedy)
    notes = [f"{others} pictures show no class or several: not read"] if others else []
    if lost := sorted(known - alone):
        notes.append(f"no picture shows one of {len(lost)} classes alone: {shown(lost)}")
    return rows, notes


def not_readable(root: Path, kind: str, why: str, remedy: str = CUT_OUT) -> InputError:
    """Return what to tell of a data set for object detection that gives no pictures of a class."""
    return InputError(
        f"{root} is {kind}, and {why}",
        "pictures of one class each, of two classes or more",
        remedy,
    )
