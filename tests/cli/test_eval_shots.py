"""``edge-fgir eval`` by shot group, per-class tables, and with adjusted logits."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from edge_fgir.runs import Run

pytestmark = pytest.mark.unit


@pytest.fixture
def uneven_run(tiny_run: Path, tmp_path: Path) -> Path:
    """The tiny run, as if it had learned from uneven classes."""
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    values = json.loads((run / "model.json").read_text())
    (run / "model.json").write_text(json.dumps({**values, "train_counts": [200, 50, 10]}))
    return run


def test_a_run_is_measured_by_shot_group(run_cli, uneven_run, photos):
    found = run_cli("eval", uneven_run, "--data", photos, "--json").json
    by_class = [one["top1"] for one in found["classes"]]
    assert [(one["group"], one["top1"]) for one in found["shots"]] == list(
        zip(("many", "medium", "few"), by_class, strict=True)
    )
    assert found["macro"] == pytest.approx(np.mean(by_class))
    assert found["images"] == 36 == sum(one["images"] for one in found["classes"])
    other = run_cli("eval", uneven_run, "--data", photos, "--shots", "250,40", "--json").json
    assert [one["classes"] for one in other["shots"]] == [0, 2, 1]
    assert other["shots"][0]["train_images"] == "> 250"
    lines = run_cli("eval", uneven_run, "--data", photos).out.splitlines()
    assert (
        lines[1] == f"many (> 100 training images): {by_class[0]:.2f} % on average over 1 classes"
    )


def test_every_class_is_a_line_of_a_table(run_cli, uneven_run, photos, tmp_path):
    done = run_cli("eval", uneven_run, "--data", photos, "--classes-csv", tmp_path / "c.csv")
    assert done.code == 0, done.err
    with (tmp_path / "c.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["class_id"] for row in rows) == ["0", "1", "2"]
    assert sum(int(row["images"]) for row in rows) == 36
    keys = [(-int(row["images"]), -float(row["top1"])) for row in rows]
    assert keys == sorted(keys)
    by_id = {row["class_id"]: row for row in rows}
    assert (by_id["2"]["class_name"], by_id["2"]["train_images"]) == ("striped_leaf", "10")
    assert by_id["2"]["group"] == "few"


def test_adjusted_logits_favour_the_rare_class(run_cli, uneven_run, photos):
    def answered(*options: str) -> tuple[int, float | None]:
        found = run_cli("eval", uneven_run, "--data", photos, "--json", *options).json
        return sum(row[2] for row in found["confusion"]), found["logit_adjustment"]

    plain, tau = answered()
    assert tau is None
    assert answered("--logit-adjustment", "0") == (plain, 0.0)
    strong, tau = answered("--logit-adjustment", "8")
    assert strong > plain
    assert tau == 8
    assert 0 <= answered("--logit-adjustment", "auto")[1] <= 2


def test_no_tau_is_chosen_by_val_that_was_learned(run_cli, uneven_run, photos):
    run = Run(uneven_run)
    run.config.write_text(run.changed_recipe(["data.with_val=true"]).dump())
    asked = ("eval", uneven_run, "--data", photos, "--logit-adjustment")
    refused = run_cli(*asked, "auto")
    assert refused.code == 2
    assert "which was trained on val as well; expected val that it has not seen" in refused.err
    assert run_cli(*asked, "1").code == 0


@pytest.mark.parametrize("value", ["-1", "11", "some", "nan"])
def test_a_wrong_tau(run_cli, uneven_run, photos, value):
    done = run_cli("eval", uneven_run, "--data", photos, "--logit-adjustment", value)
    assert (done.code, done.err) == (
        2,
        f"error: --logit-adjustment {value}; expected a number from 0 to 10, or auto\n",
    )


def test_a_bundles_adjustment_is_fixed(run_cli, tiny_bundle, photos):
    done = run_cli("eval", tiny_bundle, "--data", photos, "--logit-adjustment", "1")
    assert done.code == 2
    assert "is a bundle, in which it is fixed" in done.err


def test_an_older_run_knows_its_counts_from_the_same_data(run_cli, uneven_run, photos, make_folder):
    values = json.loads((uneven_run / "model.json").read_text())
    del values["train_counts"]
    (uneven_run / "model.json").write_text(json.dumps(values))
    found = run_cli("eval", uneven_run, "--data", photos, "--json").json
    assert [one["train_images"] for one in found["classes"]] == [24, 24, 24]
    other = make_folder(uneven_run.parent / "other", [one["name"] for one in found["classes"]])
    body = run_cli("eval", uneven_run, "--data", other, "--json").json
    assert body["shots"] == []
    done = run_cli("eval", uneven_run, "--data", other, "--logit-adjustment", "1")
    assert "does not know its training pictures a class" in done.err


def test_the_report_shows_shot_groups(run_cli, uneven_run, photos, tmp_path):
    pytest.importorskip("jinja2")
    out, page = tmp_path / "eval.json", tmp_path / "report.html"
    run_cli("eval", uneven_run, "--data", photos, "--out", out)
    assert run_cli("report", out, "--out", page).code == 0
    html = page.read_text(encoding="utf-8")
    assert "Training images a class" in html
    assert "&lt; 20: 1 class" in html
