from __future__ import annotations

import json

import pytest
from samples import fit, write_result

from edge_fgir import InputError
from edge_fgir.results import Fit, read_result

pytestmark = pytest.mark.unit


def read(path, **changes):
    write_result(path / "fit.json", "fit", fit(**changes))
    return read_result(path / "fit.json", Fit)


def test_a_fit_is_read_as_it_was_written(tmp_path):
    result = read(tmp_path)
    result.write(tmp_path / "again.json")
    assert read_result(tmp_path / "again.json") == result
    text = json.loads((tmp_path / "again.json").read_text())
    assert text["schema"] == "edge-fgir/fit/1"
    assert text["latency"]["environment"]["processor"] == "AMD EPYC"


def test_a_fit_says_what_was_chosen_and_what_was_trained(tmp_path):
    result = read(tmp_path)
    assert result.chosen.candidate == 0
    assert [each.architecture for each in result.tried] == ["tf_efficientnet_lite0", "lrnet14"]
    assert [each.fits for each in result.candidates] == [True, True, False]
    best = result.candidates[0].best
    assert best is not None
    assert (best.method, best.accuracy.top1) == ("kd", 90.0)
    assert result.candidates[2].best is None
    assert result.candidates[2].ms == 8.0
    assert result.found.imbalance == 3.0


def test_one_point_is_chosen_and_all_are_of_candidates(tmp_path):
    points = fit()["points"]
    with pytest.raises(InputError, match="exactly one point must be chosen"):
        read(tmp_path, points=[{**each, "role": "runner-up"} for each in points])
    with pytest.raises(InputError, match="points must be of the candidates"):
        read(tmp_path, points=[{**points[0], "candidate": 3}])


def test_the_weakest_classes_come_first(tmp_path):
    test = fit()["test"]
    first = test["classes"][0]
    rates = [("robin", 100.0), ("wren", 50.0), ("jay", 20.0), ("kite", None)]
    classes = [{**first, "name": name, "top1": top1} for name, top1 in rates]
    evaluation = read(
        tmp_path, test={**test, "classes": classes, "confusion": [[0] * 4 for _ in rates]}
    ).test
    assert evaluation is not None
    assert [each.name for each in evaluation.weakest] == ["jay", "wren"]
