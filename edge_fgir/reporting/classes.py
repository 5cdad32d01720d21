"""Every class's accuracy as a table for spreadsheets.

Source: arXiv 2101.08674, docs/science/dafre.md#evaluation.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

_COLUMNS = ("class_id", "class_name", "group", "train_images", "images", "top1")


def classes_table(classes: Sequence[Mapping[str, Any]]) -> str:
    """Return the classes of an ``evaluation`` result as CSV, most images first, then most accurate.

    Empty are ``top1`` of a class without images, and ``group`` and ``train_images`` where they are
    not known.
    """
    rows = [
        {"class_id": place, "class_name": one["name"], **one} for place, one in enumerate(classes)
    ]
    rows.sort(key=lambda row: (-row["images"], -(row["top1"] or 0.0)))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
