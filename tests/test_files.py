"""Folders that are whole or absent, whatever ends the process that makes them."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from edge_fgir import InputError
from edge_fgir._files import new_folder

pytestmark = pytest.mark.unit

MARK = "mark"

_KILLED = """
import os, signal, sys
from pathlib import Path
from edge_fgir import _files
replace = Path.replace
def killed(self, target):
    replace(self, target)
    if self.name == "made":
        os.kill(os.getpid(), signal.SIGKILL)
Path.replace = killed
with _files.new_folder(Path(sys.argv[1]), replaces="mark") as draft:
    (draft / "mark").write_text("second")
    if sys.argv[2] == "early":
        os.kill(os.getpid(), signal.SIGKILL)
"""
"""Is killed while it writes, or when it has just moved the earlier folder out of the way."""


def make(path: Path, text: str) -> None:
    with new_folder(path, replaces=MARK) as draft:
        (draft / MARK).write_text(text)


def killed(path: Path, when: str) -> None:
    done = subprocess.run([sys.executable, "-c", _KILLED, str(path), when], check=False)
    assert done.returncode == -9


@pytest.mark.parametrize("before", [False, True])
def test_what_a_killed_process_left_goes_with_the_next_try(tmp_path: Path, before: bool) -> None:
    path = tmp_path / "made"
    if before:
        make(path, "first")
    killed(path, "early")
    assert path.exists() == before
    assert len(list(tmp_path.iterdir())) == 1 + before
    make(path, "third")
    assert [each.name for each in tmp_path.iterdir()] == ["made"]
    assert (path / MARK).read_text() == "third"


def test_a_folder_that_was_being_replaced_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "made"
    make(path, "first")
    killed(path, "late")
    assert not path.exists()
    with pytest.raises(ZeroDivisionError), new_folder(path, replaces=MARK):
        raise ZeroDivisionError
    assert [each.name for each in tmp_path.iterdir()] == ["made"]
    assert (path / MARK).read_text() == "first"


def test_drafts_of_the_living_and_of_others_stay(tmp_path: Path) -> None:
    others = tmp_path / ".made2.draft-abc", tmp_path / ".made.old"
    for other in others:
        other.mkdir()
    with new_folder(tmp_path / "made", replaces=MARK) as first:
        (first / MARK).write_text("first")
        make(tmp_path / "made", "second")
        assert first.is_dir()
    assert (tmp_path / "made" / MARK).read_text() == "first"
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(
        [*(other.name for other in others), "made"]
    )


def test_where_folders_cannot_be_locked_they_are_made_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")  # NFS, of a folder

    monkeypatch.setattr(fcntl, "flock", refuse)
    other = tmp_path / ".made.draft-abc"
    other.mkdir()
    for text in ("first", "second"):
        make(tmp_path / "made", text)
        assert (tmp_path / "made" / MARK).read_text() == text
    assert sorted(each.name for each in tmp_path.iterdir()) == [other.name, "made"]


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "photo.jpg").write_bytes(b"x")
    with (
        pytest.raises(InputError, match="is not one of our outputs"),
        new_folder(tmp_path / "made", replaces=MARK),
    ):
        pass
    assert (tmp_path / "made" / "photo.jpg").exists()
