"""Temporary folders: none outlives its process for long, and nothing else is removed."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest

from edge_fgir._files import scratch

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder of temporary files, empty."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left_behind(root: Path, name: str, age_s: float) -> Path:
    folder = root / name
    folder.mkdir()
    (folder / "bundle").write_text("left")
    then = time.time() - age_s
    os.utime(folder, (then, then))
    return folder


def test_it_ends_with_the_block(root: Path) -> None:
    with scratch() as folder:
        (folder / "a").touch()
    assert not list(root.iterdir())


def test_what_a_killed_process_left_is_removed(root: Path) -> None:
    old = left_behind(root, "edge-fgir-scratch-old", 3600)
    fresh = left_behind(root, "edge-fgir-scratch-fresh", 0)
    other = left_behind(root, "someone-else", 3600)
    with scratch():
        assert not old.exists()
    assert (fresh / "bundle").exists()
    assert (other / "bundle").exists()


def test_a_folder_in_use_stays(root: Path) -> None:
    with scratch() as first:
        os.utime(first, (0, 0))
        with scratch():
            assert first.is_dir()


@pytest.mark.parametrize("hours", [-24, 24])
def test_a_clock_step_removes_nothing_that_is_in_use(root: Path, hours: int) -> None:
    tomorrow = left_behind(root, "edge-fgir-scratch-tomorrow", -24 * 3600)
    with scratch() as first:
        then = time.time() - 3600 * hours
        os.utime(first, (then, then))
        with scratch():
            assert first.is_dir()
            assert (tomorrow / "bundle").exists()  # nobody knows how old it is


def test_a_link_leads_nowhere(root: Path) -> None:
    photos = left_behind(root, "photos", 3600)
    (root / "edge-fgir-scratch-link").symlink_to(photos)
    with scratch():
        pass
    assert (photos / "bundle").exists()
