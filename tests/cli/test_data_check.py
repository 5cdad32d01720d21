"""``edge-fgir data check``, and what ``data stats`` says about uneven classes."""

from __future__ import annotations

import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from longtailed import rows_of, write_lists
from PIL import Image

pytestmark = pytest.mark.unit


@pytest.fixture
def girls(tmp_path):
    """24, 12 and 8 training pictures."""
    lists = {
        "train": rows_of([24, 12, 8]),
        "val": rows_of([2, 2, 2], 50_000),
        "test": rows_of([3, 3, 3], 70_000),
    }
    return write_lists(tmp_path / "girls", lists)


def test_nothing_wrong(run_cli, girls) -> None:
    done = run_cli("data", "check", girls, "--min-images", 13)
    assert (done.code, done.out) == (0, "girls, faces, 59 pictures: nothing wrong\n")
    found = run_cli("data", "check", girls, "--min-images", 13, "--json").json
    assert (found["ok"], found["pictures"], found["problems"]) == (True, 59, [])


def test_problems_end_with_exit_code_1(run_cli, girls) -> None:
    done = run_cli("data", "check", girls, "--min-images", 14)
    assert done.code == 1
    assert done.out == (
        "class: class girl_2 has 13 pictures in all splits, fewer than 14\n"
        "girls, faces, 59 pictures: 1 class\n"
    )
    found = run_cli("data", "check", girls, "--min-images", 14, "--json")
    assert found.code == 1
    assert not found.json["ok"]
    assert found.json["counts"] == {"class": 1}
    assert found.json["problems"][0]["kind"] == "class"


def test_of_many_problems_of_a_kind_some_are_shown(run_cli, girls) -> None:
    for path in sorted((girls / "faces").rglob("*.png"))[:30]:
        shutil.copy(path, path.with_suffix(".bak"))
        path.write_text("no picture")
    lines = run_cli("data", "check", girls, "--min-images", 0).out.splitlines()
    assert len(lines) == 22
    assert lines[-2] == "unreadable: 10 more; --json lists all"
    assert lines[-1] == "girls, faces, 59 pictures: 30 unreadable"


def test_what_is_no_data_set_is_bad_input(run_cli, tmp_path: Path) -> None:
    done = run_cli("data", "check", tmp_path / "nothing")
    assert (done.code, done.out) == (2, "")
    assert "does not exist" in done.err


def test_stats_say_how_uneven_the_classes_are(run_cli, girls) -> None:
    lines = run_cli("data", "stats", girls).out.splitlines()
    assert lines[-2:] == [
        "train: 8 to 24 pictures a class, mean 14.7, median 12; imbalance ratio 3.0, Gini 0.24",
        "classes by training pictures: 0 many (> 100), 1 medium (20 to 100), 2 few (< 20)",
    ]
    found = run_cli("data", "stats", girls, "--shots", "20,10", "--json").json
    assert [one["group"] for one in found["classes"]] == ["many", "medium", "few"]
    assert found["groups"]["few"] == {"train_images": "< 10", "classes": 1}
    assert found["train"]["imbalance"] == 3
    assert found["train"]["gini"] == pytest.approx(2 * (24 - 8) / (3 * 44))


@pytest.mark.parametrize("shots", ["20", "a,b", "10,20", "-1,5", ""])
def test_shots_that_are_no_two_numbers(run_cli, girls, shots) -> None:
    done = run_cli("data", "stats", girls, "--shots", shots)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert "shot" in done.err


def test_a_plot_of_the_class_sizes(run_cli, girls, tmp_path: Path) -> None:
    for name in ("sizes.svg", "sizes.png"):
        assert run_cli("data", "stats", girls, "--plot", tmp_path / name).code == 0
    ElementTree.parse(tmp_path / "sizes.svg")
    with Image.open(tmp_path / "sizes.png") as image:
        assert image.size == (1520, 760)
    done = run_cli("data", "stats", girls, "--plot", tmp_path / "sizes.pdf")
    assert done.code == 2
    assert "a file ending in .svg or .png" in done.err


def test_what_the_reader_settled_by_itself_is_said(run_cli, make_folder, tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data", ("a", "b")) / "train"
    done = run_cli("data", "check", root, "--min-images", 0)
    assert done.out.startswith("note: split by class and file name into ")
    found = run_cli("data", "check", root, "--min-images", 0, "--json").json
    assert found["notes"][0].startswith("split by class and file name into ")
