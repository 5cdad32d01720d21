from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_fgir import InputError
from edge_fgir.data import BUILT_IN, open_data
from edge_fgir.data.elpv import read_elpv

pytestmark = pytest.mark.unit

# Deitsch et al. 2019, counted from labels.csv: mono and poly by 0, 1/3, 2/3 and 1.
COUNTS = {
    "mono-ok": 588,
    "mono-minor": 117,
    "mono-major": 56,
    "mono-defect": 313,
    "poly-ok": 920,
    "poly-minor": 178,
    "poly-major": 50,
    "poly-defect": 402,
}


@pytest.fixture(scope="module")
def elpv():
    pytest.importorskip("elpv_dataset")
    return open_data("elpv")


def test_2624_pictures_in_8_classes(elpv) -> None:
    by_split = [elpv.counts(split) for split in ("train", "val", "test")]
    assert dict(zip(elpv.classes, np.sum(by_split, axis=0).tolist(), strict=True)) == COUNTS
    assert sum(COUNTS.values()) == 2624


def test_no_picture_is_in_two_splits(elpv) -> None:
    paths = [sample.path for samples in elpv.splits.values() for sample in samples]
    assert len(set(paths)) == len(paths) == 2624
    assert all(path.is_file() for path in paths)


@pytest.mark.parametrize(("split", "share"), [("train", 0.6), ("val", 0.15), ("test", 0.25)])
def test_each_class_is_split_60_15_25(elpv, split, share) -> None:
    for name, count in zip(elpv.classes, elpv.counts(split), strict=True):
        assert abs(count - share * COUNTS[name]) <= 1
    assert sum(elpv.counts(split)) == pytest.approx(share * 2624, abs=4)


def test_the_split_is_always_the_same(elpv) -> None:
    assert read_elpv().splits == elpv.splits
    assert read_elpv().info.hash == elpv.info.hash


def test_the_labels_are_those_of_the_file(elpv) -> None:
    root = elpv.splits["train"][0].path.parents[1]
    lines = (line.split() for line in (root / "labels.csv").read_text().splitlines())
    wanted = {name: (kind, float(probability)) for name, probability, kind in lines}
    grades = {"ok": 0, "minor": 1 / 3, "major": 2 / 3, "defect": 1}
    for samples in elpv.splits.values():
        for sample in samples:
            kind, grade = elpv.classes[sample.label].split("-")
            found = wanted[sample.path.relative_to(root).as_posix()]
            assert found == (kind, pytest.approx(grades[grade], abs=0.01))


def test_a_picture_is_300_by_300_and_grey(elpv) -> None:
    pixels = elpv.read(elpv.splits["test"][0])
    assert pixels.shape == (300, 300, 3)
    assert (pixels[..., 0] == pixels[..., 2]).all()


def test_the_licence_is_told(elpv) -> None:
    assert "CC BY-NC-SA 4.0" in elpv.info.licence
    assert elpv.info.name == "elpv"


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_fgir.data.elpv.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'elpv-dataset is not .*pip install "edge-fgir\[demo\]"'):
        open_data("elpv")


def test_a_folder_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elpv").mkdir()
    with pytest.raises(InputError, match="train does not exist"):
        open_data("elpv")
    assert "elpv" in BUILT_IN
