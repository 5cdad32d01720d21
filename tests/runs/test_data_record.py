"""What a run knows of its pictures: what was added, removed, replaced, renamed or moved."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from edge_fgir import InputError
from edge_fgir.data import open_data, pack
from edge_fgir.runs import DataChange, DataRecord

pytestmark = pytest.mark.unit

CLASSES = ("green", "red")


@pytest.fixture
def photos(make_folder: Callable[..., Path], tmp_path: Path) -> Path:
    root = make_folder(tmp_path / "photos", CLASSES)
    for number, path in enumerate(sorted(root.rglob("*.png"))):
        Image.new("RGB", (20 + number, 20)).save(path)  # no two files of one size
        path.write_bytes(path.read_bytes() + bytes(number))
    return root


def add(photos: Path) -> None:
    shutil.copy(photos / "train/red/0.png", photos / "train/red/new.png")
    Image.new("RGB", (300, 300)).save(photos / "train/red/new.png")


def remove(photos: Path) -> None:
    (photos / "val/red/1.png").unlink()


def replace(photos: Path) -> None:
    Image.new("RGB", (300, 300)).save(photos / "train/green/3.png")


def rename(photos: Path) -> None:
    (photos / "train/green/3.png").rename(photos / "train/green/three.png")


def move(photos: Path) -> None:
    (photos / "train/green/3.png").rename(photos / "test/green/3.png")


def swap_classes(photos: Path) -> None:
    (photos / "train/green/3.png").rename(photos / "train/red/x.png")


@pytest.mark.parametrize(
    ("act", "said", "other"),
    [
        (add, "train: 1 added", True),
        (remove, "val: 1 removed", True),
        (replace, "train: 1 replaced", True),
        (rename, "train: 1 renamed", False),
        (move, "train: 1 removed; test: 1 added, 1 of them learned", True),
        (swap_classes, "train: 1 added, 1 removed", True),
    ],
)
def test_a_change_is_named(
    photos: Path, tmp_path: Path, act: Callable[[Path], None], said: str, other: bool
) -> None:
    file = tmp_path / "data.safetensors"
    DataRecord.of(open_data(str(photos))).write(file)
    record = DataRecord.read(file)
    assert not record.change(open_data(str(photos)))
    act(photos)
    change = record.change(open_data(str(photos)))
    assert str(change) == said
    assert change.other_pictures == other
    assert change.learned("test") == (act is move)


def test_pictures_of_a_learned_val_are_known(photos: Path) -> None:
    record = DataRecord.of(open_data(str(photos)))
    (photos / "val/green/1.png").replace(photos / "test/green/1.png")
    now = open_data(str(photos))
    assert record.change(now).learned("test") == 0
    assert record.change(now, learned_val=True).learned("test") == 1


def test_packed_pictures_are_the_same_pictures(photos: Path, tmp_path: Path) -> None:
    data = open_data(str(photos))
    pack(data, tmp_path / "packed", 10**6)
    change = DataRecord.of(data).change(open_data(str(tmp_path / "packed")))
    assert str(change) == "train: 16 renamed; val: 4 renamed; test: 4 renamed"
    assert not change.other_pictures


def test_a_run_of_an_earlier_version_knows_a_hash_alone() -> None:
    assert DataChange(unknown=True).other_pictures
    assert not DataChange()


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"\x08" + bytes(7) + b'{"a":1} '])
def test_a_damaged_record_is_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "data.safetensors"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"safetensors cannot be read .*; expected the record"):
        DataRecord.read(file)
