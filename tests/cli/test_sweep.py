"""``edge-fgir sweep``: what is refused before anything runs, and what it says of itself."""

from __future__ import annotations

import socket

import pytest
import yaml
from runs import write_recipe

pytest.importorskip("torch")
pytest.importorskip("ray")
pytest.importorskip("jinja2")

pytestmark = pytest.mark.unit


@pytest.fixture
def sweep_file(photos, tmp_path):
    write_recipe(tmp_path / "tiny.yaml")
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump({"name": "s", "recipe": "tiny.yaml", "data": str(photos)}))
    return path


def refused(run_cli, *arguments: object) -> str:
    done = run_cli("sweep", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
    return done.err


def test_a_missing_file_is_one_line(run_cli, tmp_path):
    error = refused(run_cli, tmp_path / "no.yaml", "--out", tmp_path / "out")
    assert error.endswith("no.yaml does not exist; expected a YAML file\n")


def test_a_wrong_key_leaves_nothing_behind(run_cli, sweep_file, tmp_path):
    sweep_file.write_text(sweep_file.read_text() + "grid: {epoch: [1]}\n")
    error = refused(run_cli, sweep_file, "--out", tmp_path / "out")
    assert "epoch=1, seed 0: recipe" in error
    assert "unknown key epoch; expected epochs; correct the key" in error
    assert not (tmp_path / "out").exists()


def test_another_folder_is_not_filled(run_cli, sweep_file, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("")
    error = refused(run_cli, sweep_file, "--out", tmp_path / "out")
    assert "is not empty and not the folder of a sweep (it has no cells)" in error


def test_a_cluster_out_of_reach_is_said_at_once(run_cli, sweep_file, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        error = refused(run_cli, sweep_file, "--out", tmp_path / "out", "--address", address)
    assert error.startswith(f"error: --address {address}: ConnectionRefusedError")
    assert "run: ray start" in error or "ray start --head" in error


def test_help_has_an_example_and_names_the_shared_storage(run_cli):
    done = run_cli("sweep", "--help")
    assert done.code == 0
    text = " ".join(done.out.replace("│", " ").split())
    assert "Example: edge-fgir sweep sweep.yaml --out runs/sweep" in text
    assert "storage that all its machines see" in text
