"""``edge-fgir rank-teachers``."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_fgir.results import Teachers, read_result

pytest.importorskip("torch")

pytestmark = pytest.mark.unit


def test_teachers_in_rank_order(run_cli, teacher_run, tiny_run, photos, tmp_path):
    out = tmp_path / "teachers.json"
    arguments = ("rank-teachers", tiny_run, teacher_run, "--data", photos, "--images", 40)
    done = run_cli(*arguments, "--json", "--out", out)
    assert done.code == 0
    assert [one["rank"] for one in done.json] == [1, 2]
    assert {one["run"] for one in done.json} == {str(tiny_run), str(teacher_run)}
    ratios = [one["r12"] for one in done.json if one["r12"] is not None]
    assert ratios == sorted(ratios)
    for one in done.json:
        assert list(one)[1:] == [
            *("run", "name", "architecture", "method"),
            *("r12", "skipped", "tac", "ssp", "images"),
        ]
        assert one["images"] == 40
        assert one["ssp"] is None  # three classes
    result = read_result(out, Teachers)
    assert result.to_dict()["teachers"] == done.json
    assert result.data.name == photos.name
    assert "on train: 40/40" in done.err  # progress


def test_what_people_read(run_cli, teacher_run, tiny_run, photos):
    done = run_cli("rank-teachers", teacher_run, tiny_run, "--data", photos)
    for word in ("rank", "strategy", "R12", "skipped %", "TAC %", "SSP", "lrnet14", "cal", "ce"):
        assert word in done.out
    assert "72" in done.out
    caution, hint = done.out.splitlines()[-2:]
    assert caution == (
        "caution: trained by different methods (cal, ce); "
        "compare only teachers trained with the same strategy"
    )
    assert hint.startswith("next: validate the top two by a short distillation")


def test_the_caution_leaves_json_alone(run_cli, teacher_run, tiny_run, photos):
    arguments = (teacher_run, tiny_run, "--data", photos, "--images", 8, "--json")
    done = run_cli("rank-teachers", *arguments)
    assert len(done.json) == 2
    assert "caution: trained by different methods" in done.err


def test_one_strategy_needs_no_caution(run_cli, tiny_run, photos):
    done = run_cli("rank-teachers", tiny_run, "--data", photos, "--images", 8)
    assert "caution" not in done.out + done.err
    assert "next:" not in done.out


def test_what_cannot_be_ranked_is_one_line(run_cli, tiny_run, make_folder, photos, tmp_path):
    other = make_folder(tmp_path / "other", ("a", "b"))
    for arguments, message in (
        (
            (tiny_run, "--data", other),
            f"run {tiny_run} knows other classes than data other; expected",
        ),
        ((tmp_path, "--data", photos), f"{tmp_path} is not a run folder"),
    ):
        done = run_cli("rank-teachers", *arguments, "--out", tmp_path / "out.json")
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith(f"error: {message}")
        assert done.err.count("\n") == 1
    assert not Path(tmp_path / "out.json").exists()
