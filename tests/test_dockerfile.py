"""The container's recipe: what it copies is there and sent, and what it runs as is nobody."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINES = [line.split() for line in (ROOT / "Dockerfile").read_text().splitlines() if line.strip()]
SENT = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"}
NEEDED = {"edge_fgir", "recipes", "export", "devices", "pyproject.toml", "README.md", "LICENSE"}
"""What a wheel is made of."""

pytestmark = pytest.mark.unit


def copied() -> set[str]:
    """Return what the build takes from the checkout, as its first folder or file."""
    copies = [line[1:-1] for line in LINES if line[0] == "COPY" and "--from" not in line[1]]
    return {source.split("/")[0] for sources in copies for source in sources} - {"."}


def test_what_is_copied_is_there_and_sent() -> None:
    assert copied() == {"requirements", "tests", "pyproject.toml"}
    for name in copied() | NEEDED:
        assert (ROOT / name).exists()
        assert name in SENT


def test_every_stage_that_is_run_ends_as_a_number_without_a_name() -> None:
    users: dict[str, str] = {}
    stage = ""
    for line in LINES:
        if line[0] == "FROM":
            stage = line[-1]
            users[stage] = users.get(line[1], "")
        elif line[0] == "USER":
            users[stage] = line[1]
    assert users.pop("wheel") == ""
    assert set(users.values()) == {"10001:10001"}


def test_the_device_part_is_installed_by_hash_alone() -> None:
    device = (ROOT / "Dockerfile").read_text().partition(" AS device\n")[2].partition("\nFROM ")[0]
    installs = re.findall(r"pip install .*", device)
    assert len(installs) == 2
    assert all("--require-hashes" in each or "--no-deps" in each for each in installs)


def test_the_runtimes_that_may_be_asked_for_have_a_file() -> None:
    comment = next(
        line for line in (ROOT / "Dockerfile").read_text().splitlines() if ": a file" in line
    )
    for name in ("openvino", "arm", "litert"):
        assert name in comment
        assert (ROOT / "requirements" / f"{name}.txt").is_file()
