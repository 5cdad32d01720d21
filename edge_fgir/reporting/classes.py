"""Every class's accuracy as a table for spreadsheets.

Source: arXiv 2101.08674, docs/science/dafre.md#evaluation.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from edge_fgir.results import ClassAccuracy

_COLUMNS = ("class_id", "class_name", "group", "train_images", "images", "top1")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def classes_table(classes: Sequence[ClassAccuracy]) -> str:
    """Return the classes of an ``evaluation`` result as CSV, most images first, then most accurate.

    Empty are ``top1`` of a class without images, and ``group`` and ``train_images`` where they are
    not known. A name that a spreadsheet would take for a formula has a quote in front.
    """
    order = sorted(
        range(len(classes)), key=lambda i: (-classes[i].images, -(classes[i].top1 or 0.0))
    )
    rows = [
        {"class_id": i, "class_name": _cell(classes[i].name), **dict(classes[i])} for i in order
    ]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _cell(name: str) -> str:
    """Return a class name so that a spreadsheet takes it for no formula, which could run programs.

    A quote in front makes it text there.
    """
    return f"'{name}" if name.startswith(_FORMULA) else name
