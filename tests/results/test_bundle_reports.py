from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_fgir import InputError
from edge_fgir.results import AccuracyReport, FrigateClass, ParityReport, QuantizationReport

pytestmark = pytest.mark.unit

VERSION_1 = Path(__file__).parent / "version_1"


def value(name):
    return json.loads((VERSION_1 / f"report-{name}.json").read_text(encoding="utf-8"))


def bundle(**changes):
    """Return a bundle that holds the reports of the version before."""
    return SimpleNamespace(path=Path("x.fgir"), report=lambda name: {**value(name), **changes})


@pytest.mark.parametrize("kind", [AccuracyReport, ParityReport, QuantizationReport])
def test_reports_of_the_version_before_still_open(kind):
    report = kind.of(bundle())
    assert known(report.model_dump(mode="json"), value(kind.file)) == value(kind.file)


def known(written, before):
    """Return what is written without the fields that are new since."""
    if isinstance(before, dict):
        return {name: known(written[name], before[name]) for name in before}
    if isinstance(before, list):
        assert len(written) == len(before)
        return [known(*pair) for pair in zip(written, before, strict=True)]
    return written


def test_a_report_with_another_field_is_refused():
    with pytest.raises(
        InputError,
        match=r"^x.fgir/reports/parity.json has an unknown key colour; expected a whole p",
    ):
        ParityReport.of(bundle(colour="red"))


def test_frigates_pictures_of_few_visits_say_so():
    wren = {"name": "wren", "train": 9, "images": 6, "right": 4, "taken_for": {"none": 2}}
    assert str(FrigateClass(**wren)) == "wren: 4 of 6 (none 2)"
    assert str(FrigateClass(**wren, visits=6)) == "wren: 4 of 6 (none 2)"
    assert str(FrigateClass(**wren, visits=2)) == "wren: 4 of 6 in 2 visits (none 2)"
    assert str(FrigateClass(**wren, visits=1)) == "wren: 4 of 6 in 1 visit (none 2)"
