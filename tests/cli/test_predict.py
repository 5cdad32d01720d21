"""``edge-fgir predict`` on a folder in which not every picture is good."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from bundles import make_bundle
from PIL import Image

from edge_fgir.runtime import READING, READING_KEY

pytestmark = pytest.mark.unit

COLORS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    versions = {"edge-fgir": "0.1.0", READING_KEY: READING}
    return make_bundle(tmp_path / "colours.fgir", versions=versions)


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """Four pictures: red, one that was cut, green (turned by its EXIF data), blue."""
    folder = tmp_path / "night"
    folder.mkdir()
    for place, color in zip((0, 2, 3), COLORS, strict=True):
        exif = Image.Exif()
        exif[0x0112] = 6 if place == 2 else 0
        Image.new("RGB", (48, 32), color).save(folder / f"{place}.png", exif=exif)
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    Image.fromarray(noise).save(folder / "1.jpg")
    (folder / "1.jpg").write_bytes((folder / "1.jpg").read_bytes()[:900])
    return folder


def test_the_others_are_answered(run_cli, bundle: Path, night: Path) -> None:
    done = run_cli("predict", bundle, night, "--top", 1)
    assert done.code == 1
    assert [line.split(": ")[1].split()[0] for line in done.out.splitlines()] == [
        "red",
        "green",
        "blue",
    ]
    assert f"error: {night}/1.jpg is broken or truncated" in done.err


def test_json_carries_the_error_in_its_place(run_cli, bundle: Path, night: Path) -> None:
    done = run_cli("predict", bundle, night, "--json", "--out", night / "p.json")
    assert done.code == 1
    found = json.loads(done.out)
    assert [Path(answer["image"]).name for answer in found] == ["0.png", "1.jpg", "2.png", "3.png"]
    assert [answer.get("label") for answer in found] == ["red", None, "green", "blue"]
    assert "is broken or truncated" in found[1]["error"]
    written = json.loads((night / "p.json").read_text())
    assert [answer["label"] for answer in written["predictions"]] == ["red", "green", "blue"]
    assert [answer["image"] for answer in written["failures"]] == [f"{night}/1.jpg"]


def test_what_is_out_of_reach_is_an_error_in_its_place(
    run_cli, bundle: Path, night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (night / "1.jpg").unlink()
    (night / "1.jpg").symlink_to(night / "gone.jpg")
    locked = night / "locked"
    locked.mkdir()
    scandir = os.scandir

    def refuse(folder):  # root may read everything
        if folder == locked:
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr("os.scandir", refuse)
    done = run_cli("predict", bundle, night, "--json")
    assert done.code == 1
    found = json.loads(done.out)
    names = [Path(answer["image"]).name for answer in found]
    assert names == ["0.png", "1.jpg", "2.png", "3.png", "locked"]
    assert [answer.get("label") for answer in found] == ["red", None, "green", "blue", None]
    assert "which is not there" in found[1]["error"]
    assert "may not be read (Permission denied)" in found[4]["error"]
    assert done.err.count("error: ") == 2
    assert run_cli("predict", bundle, night, "--strict").code == 2


def test_strict_ends_with_the_first(run_cli, bundle: Path, night: Path) -> None:
    done = run_cli("predict", bundle, night, "--strict")
    assert done.code == 2
    assert done.err.startswith(f"error: {night}/1.jpg is broken or truncated")
    (night / "1.jpg").unlink()
    assert "EXIF orientation 6" in run_cli("predict", bundle, night, "--strict").err


def test_an_earlier_bundle_keeps_its_rule(run_cli, tmp_path: Path, night: Path) -> None:
    (night / "1.jpg").unlink()
    old = make_bundle(tmp_path / "old.fgir")
    done = run_cli("predict", old, night, "--json")
    assert [answer.get("label") for answer in json.loads(done.out)] == ["red", None, "blue"]
    assert done.code == 1
    assert run_cli("predict", old, night, "--convert").code == 0
