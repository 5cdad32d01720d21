"""Data sets made to do harm: names that lead elsewhere, and an index that lies about its shards."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from longtailed import rows_of, write_lists
from PIL import Image

from edge_fgir import InputError
from edge_fgir._paths import join_below, stays_below
from edge_fgir.data import copy_excerpt, open_data
from edge_fgir.data.shard_index import INDEX

pytestmark = pytest.mark.unit

OUTSIDE = ("../../x", "..", ".", "/etc", "a/../../x", "a//b", "a/", "", "a\0b")
INSIDE = ("a", "a.b", "..a", "saber_(fate/grand_order)", "雀", "m\udcfcnchen")


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    assert not stays_below(name)
    with pytest.raises(InputError, match="expected one that stays below"):
        join_below(tmp_path, "a", name)


@pytest.mark.parametrize("name", INSIDE)
def test_a_name_that_stays_is_joined(tmp_path: Path, name: str) -> None:
    assert join_below(tmp_path, name, "b") == tmp_path / name / "b"


def lists(root: Path, name: str) -> Path:
    rows = {"train": rows_of([6, 6]), "val": rows_of([2, 2], 9000), "test": rows_of([3, 3], 20_000)}
    write_lists(root, rows)
    (root / "labels" / "classid_classname.csv").write_text(f"0,girl\n1,{name}\n")
    return root


def picture(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (12, 12), (shade, 100, 20)).save(buffer, "PNG")
    return buffer.getvalue()


def shards(root: Path, names: tuple[str, ...] = ("girl", "boy")) -> Path:
    root.mkdir(parents=True)
    (root / "labels.txt").write_text("".join(f"{name}\n" for name in names))
    for split in ("train", "val", "test"):
        with tarfile.open(root / f"{split}-0.tar", "w") as archive:
            for number in range(4):
                for ending, content in (
                    ("cls", str(number % 2).encode()),
                    ("png", picture(number)),
                ):
                    info = tarfile.TarInfo(f"./{number}.{ending}")
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
    return root


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["../../x", "..", "{folder}/x"])
@pytest.mark.parametrize("kind", ["lists", "shards"])
def test_no_sample_is_written_outside(
    run_cli: Callable[..., Any], tmp_path: Path, kind: str, name: str
) -> None:
    name = name.format(folder=tmp_path / "outside")
    source = tmp_path / "source"
    if kind == "lists":
        lists(source, name)
    else:
        shards(source, ("girl", name))
    before = files_below(tmp_path)
    done = run_cli("data", "sample", source, "--out", tmp_path / "a" / "b" / "few")
    assert done.code == 2
    refusal = done.err.splitlines()[-1]
    assert refusal.startswith("error: data source")
    assert f" calls a class {name!r}; expected " in refusal
    assert files_below(tmp_path) - before <= {f"source/{INDEX}"}


def test_a_class_name_with_a_slash_is_a_folder_in_a_folder(tmp_path: Path) -> None:
    data = open_data(str(lists(tmp_path / "girls", "saber_(fate/grand_order)")))
    copies = copy_excerpt(data, "test", 6, tmp_path / "few")
    assert {copy.parent.relative_to(tmp_path / "few").as_posix() for copy in copies} == {
        "girl",
        "saber_(fate/grand_order)",
    }


def test_pictures_of_one_name_are_all_copied(tmp_path: Path) -> None:
    root = tmp_path / "source"
    for split, folders in {"train": "ab", "val": "ab", "test": "ab"}.items():
        for folder in folders:
            for label in ("girl", "boy"):
                path = root / split / label / folder / "0.png"
                path.parent.mkdir(parents=True)
                path.write_bytes(picture(len(files_below(root))))
    data = open_data(str(root))
    copies = copy_excerpt(data, "test", 4, tmp_path / "few")
    assert sorted(copy.read_bytes() for copy in copies) == sorted(
        sample.read_bytes() for sample in data.split("test")
    )
    assert len(files_below(tmp_path / "few")) == 4


def edit_index(root: Path, **changes: Any) -> None:
    with np.load(root / INDEX) as archive:
        arrays = dict(archive)
    for column, change in changes.items():
        arrays[column] = change(arrays[column])
    np.savez(root / INDEX, **arrays)


def first_train_picture(root: Path) -> bytes:
    return open_data(str(root)).split("train")[0].read_bytes()


@pytest.mark.parametrize("shift", [512, -512, 1024, 3])
def test_an_index_that_points_elsewhere_in_its_shard_yields_no_bytes(
    tmp_path: Path, shift: int
) -> None:
    root = shards(tmp_path / "source")
    first_train_picture(root)
    edit_index(root, offsets=lambda column: np.r_[column[0] + shift, column[1:]])
    with pytest.raises(InputError, match=r"train-0\.tar does not hold 0\.png at byte "):
        first_train_picture(root)


def test_an_index_that_names_another_picture_yields_no_bytes(tmp_path: Path) -> None:
    root = shards(tmp_path / "source")
    first_train_picture(root)
    edit_index(root, offsets=lambda column: np.r_[column[1], column[0], column[2:]])
    with pytest.raises(InputError, match=r"train-0\.tar does not hold 0\.png at byte "):
        first_train_picture(root)


def test_an_index_whose_sums_overflow_is_not_used(tmp_path: Path) -> None:
    root = shards(tmp_path / "source")
    whole = first_train_picture(root)
    largest = np.iinfo(np.int64).max
    edit_index(root, offsets=lambda column: np.r_[largest, column[1:]])
    assert first_train_picture(root) == whole


def test_an_index_with_a_name_that_leads_elsewhere_yields_no_sample(tmp_path: Path) -> None:
    root = shards(tmp_path / "source")
    first_train_picture(root)
    edit_index(root, names=lambda column: np.r_[np.frombuffer(b"/.png", np.uint8), column[5:]])
    with pytest.raises(InputError, match="stays below"):
        first_train_picture(root)


def test_a_tar_of_very_many_long_names_is_refused(tmp_path: Path) -> None:
    """Each header says that the next one's name is long: a reader calls itself 5,000 times."""
    root = shards(tmp_path / "source")
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 8
    block = info.tobuf(tarfile.GNU_FORMAT) + b"a.png\0\0\0".ljust(tarfile.BLOCKSIZE, b"\0")
    (root / "train-0.tar").write_bytes(block * 5000 + bytes(2 * tarfile.BLOCKSIZE))
    with pytest.raises(InputError, match=r"train-0\.tar is damaged or cut"):
        open_data(str(root))
