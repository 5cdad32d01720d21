"""The table of classes for spreadsheets: names stay text there."""

from __future__ import annotations

import csv
import io

import pytest

from edge_fgir.reporting import classes_table
from edge_fgir.results import ClassAccuracy

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", 'a"b,c', "plain"])
def test_no_name_is_a_formula(name: str) -> None:
    table = classes_table([ClassAccuracy(name=name, images=1, top1=100.0)])
    (row,) = csv.DictReader(io.StringIO(table))
    assert row["class_name"] == (name if name in ('a"b,c', "plain") else f"'{name}")
