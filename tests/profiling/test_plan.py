"""Budgets and plans."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

pytest.importorskip("torch")

from edge_fgir import InputError
from edge_fgir.models.setting import Setting
from edge_fgir.profiling import Budget, Option, Plan
from edge_fgir.results import Cost

pytestmark = pytest.mark.unit

PLAN = Plan(
    run="leaves",
    weights="0" * 64,
    target="openvino",
    device="local",
    budget=Budget(latency_ms=5),
    chosen=Option(
        image_size=96,
        keep_rate=(0.7, 0.5, 0.5),
        method="evit",
        precision="int8",
        top1=61.5,
        top1_interval=(55.0, 67.0),
        latency_ms=4.2,
        p99_ms=4.9,
        measured=True,
    ),
    why="it fits",
)


def test_a_budget_says_what_exceeds_it():
    budget = Budget(latency_ms=5, memory_mb=100, size_mb=2)
    cost = Cost(latency_ms=7.25, memory_mb=99, size_mb=2.5)
    assert list(budget.excess(cost)) == ["latency 7.25 ms of 5", "size 2.5 MB of 2"]
    assert list(Budget().excess(cost)) == []


def test_what_is_not_known_is_named_and_does_not_exceed():
    budget, cost = Budget(energy_mj=3, memory_mb=10), Cost(latency_ms=1)
    assert budget.unknown(cost) == ["memory_mb", "energy_mj"]
    assert list(budget.excess(cost)) == []


@pytest.mark.parametrize("bounds", [{"latency_ms": 0}, {"min_accuracy": 101}, {"memory_mb": -1}])
def test_bounds_have_bounds(bounds):
    with pytest.raises(ValidationError):
        Budget.model_validate(bounds)


def test_a_plan_comes_back_as_it_was(tmp_path):
    PLAN.save(tmp_path / "plan.json")
    assert Plan.read(tmp_path / "plan.json") == PLAN
    assert json.loads((tmp_path / "plan.json").read_text())["schema"] == "edge-fgir/plan/1"


def test_a_plan_has_the_setting_that_export_is_asked_for():
    PLAN.check("0" * 64, "openvino")
    assert PLAN.chosen.setting == Setting(96, (0.7, 0.5, 0.5), "evit")


def test_a_plan_is_for_its_weights_and_its_target():
    with pytest.raises(InputError, match="a plan for other weights than the run's"):
        PLAN.check("1" * 64, "openvino")
    with pytest.raises(InputError, match="--target arm with a plan for openvino"):
        PLAN.check("0" * 64, "arm")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("not json", "Invalid JSON"),
        ("{}", "Field required"),
        ('{"schema": "edge-fgir/plan/9"}', "schema"),
    ],
)
def test_what_is_no_plan_is_refused(tmp_path, text, match):
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(InputError, match=match):
        Plan.read(tmp_path / "plan.json")
    with pytest.raises(InputError, match="does not exist"):
        Plan.read(tmp_path / "none.json")
