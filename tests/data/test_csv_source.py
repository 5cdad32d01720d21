from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from longtailed import ZIPF, picture_name, rows_of, write_lists, write_picture

from edge_fgir import InputError
from edge_fgir.data import SPLITS, files_of, in_file_order, labels_of, open_data, pack
from edge_fgir.data.csv_list import read_class_names, read_list
from edge_fgir.data.csv_paths import follows_id_rule, id_folder
from edge_fgir.data.csv_source import CsvSource
from edge_fgir.data.statistics import ClassSizes
from edge_fgir.evaluation import Shots

pytestmark = pytest.mark.unit

GOLDEN = yaml.safe_load((Path(__file__).parents[1] / "golden" / "dafre.yaml").read_text())

TRAIN, VAL, TEST = rows_of([6, 5, 4]), rows_of([2, 1, 1], 9000), rows_of([1, 2, 0], 20_000)
LISTS = {"train": TRAIN, "val": VAL, "test": TEST}


def refusal(source: Path | str) -> str:
    with pytest.raises(InputError) as caught:
        open_data(str(source), strict=True)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert caught.value.exit_code == 2
    return text


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def keep_lines(path: Path, wanted: Callable[[str], bool]) -> None:
    path.write_text("".join(filter(wanted, path.read_text().splitlines(keepends=True))))


@pytest.fixture
def girls(tmp_path) -> Path:
    return write_lists(tmp_path / "girls", LISTS)


@pytest.mark.parametrize("header", [False, True])
def test_both_conventions_are_read(tmp_path: Path, header) -> None:
    root = write_lists(tmp_path / "girls", LISTS, header=header)
    data = open_data(str(root))
    assert data.classes == ("girl_0", "girl_1", "girl_2")
    assert [data.counts(split) for split in SPLITS] == [[6, 5, 4], [2, 1, 1], [1, 2, 0]]
    for split, rows in LISTS.items():
        found = [(sample.label, str(sample.path)) for sample in data.split(split)]
        assert found == [(label, str(root / "faces" / name)) for label, name in rows]


def test_both_conventions_are_the_same_data(tmp_path: Path) -> None:
    plain, headed = (
        open_data(str(write_lists(tmp_path / name / "girls", LISTS, header=header)))
        for name, header in (("a", False), ("b", True))
    )
    assert plain.info == headed.info
    assert plain.name == "girls, faces"


def test_lists_in_the_folder_itself_and_pictures_beside_them(girls) -> None:
    for path in (girls / "labels").iterdir():
        path.rename(girls / path.name)
    (girls / "labels").rmdir()
    (girls / "faces").rename(girls / "data")
    assert open_data(str(girls)).counts("train") == [6, 5, 4]


def test_of_two_versions_of_the_pictures_one_is_named(girls) -> None:
    for _, name in TRAIN + VAL + TEST:
        write_picture(girls / "fullMin256" / name, 7)
    faces = girls / "faces"
    assert refusal(girls) == (
        f"pictures of {girls}/labels/train.csv lie in {faces} and in {girls}/fullMin256; "
        f"expected one of them; name it: --data {faces}"
    )
    data = open_data(str(girls / "fullMin256"))
    assert data.name == "girls, fullMin256"
    assert {path.parents[1].name for path in files_of(data.split("train"))} == {"fullMin256"}


def test_a_pair_of_lists_may_be_named(girls) -> None:
    labels = girls / "labels"
    data = open_data(f"{labels}/train.csv,{labels}/test.csv")
    # No val list: a tenth is set aside, and there are too few of each for that.
    assert set(data.splits) == {"train", "val", "test"}
    assert data.counts("test") == [1, 2, 0]
    assert [a + b for a, b in zip(data.counts("train"), data.counts("val"), strict=True)] == [
        6,
        5,
        4,
    ]


def test_train_val_stands_for_both(girls) -> None:
    labels = girls / "labels"
    both = (labels / "train.csv").read_text() + (labels / "val.csv").read_text()
    (labels / "train_val.csv").write_text(both)
    assert open_data(str(girls)).counts("val") == [2, 1, 1]
    (labels / "train.csv").unlink()
    data = open_data(str(girls))
    assert [len(data.split(split)) for split in SPLITS] == [17, 2, 3]


def test_one_list_is_split_in_its_own_order(tmp_path: Path) -> None:
    counts = (20, 25, 100)
    root = write_lists(tmp_path / "girls", {"all": rows_of(counts)})
    data = open_data(str(root / "labels" / "all.csv"))
    assert np.transpose([data.counts(split) for split in SPLITS]).tolist() == [
        GOLDEN["split"][count] for count in counts
    ]
    names = [path.stem for path in files_of(data.split("train"))[:14]]
    assert names == [Path(name).stem for _, name in rows_of(counts)[:14]]


def test_a_zipf_set_stands_in_for_the_real_one(tmp_path: Path) -> None:
    root = write_lists(tmp_path / "zipf", {"all": rows_of(ZIPF)})
    data = open_data(str(root / "labels" / "all.csv"))
    train = data.counts("train")
    assert (max(train), min(train), len(train)) == (500, 14, 30)
    assert all(min(data.counts(split)) >= 1 for split in SPLITS)
    assert sum(len(data.split(split)) for split in SPLITS) == sum(ZIPF)


@pytest.mark.parametrize(("count", "parts"), GOLDEN["split"].items())
def test_the_split_has_the_authors_arithmetic(count, parts) -> None:
    assert [len(part) for part in in_file_order([5] * count)] == parts


@given(st.lists(st.integers(0, 4), min_size=1, max_size=90))
def test_the_split_keeps_the_order_of_each_class(labels) -> None:
    train, val, test = in_file_order(labels)
    assert sorted(train + val + test) == list(range(len(labels)))
    for label, count in Counter(labels).items():
        members = [place for place, other in enumerate(labels) if other == label]
        own = [[place for place in part if labels[place] == label] for part in (train, val, test)]
        assert [*own[0], *own[1], *own[2]] == members
        assert len(own[0]) == int(count * 0.7)


@pytest.mark.parametrize(("picture_id", "folder"), GOLDEN["folders"].items())
def test_the_folder_is_the_id_modulo_1000(picture_id, folder) -> None:
    assert id_folder(picture_id) == folder
    assert follows_id_rule(f"{folder}/{picture_id}.jpg")


@pytest.mark.parametrize(
    "name",
    ["0292/1796291.jpg", "291/1796291.jpg", "00291/1796291.jpg", "0291/1796291", "0291/x.jpg"],
)
def test_other_folders_break_the_rule(name) -> None:
    assert not follows_id_rule(name)


def test_a_path_in_the_wrong_folder_is_refused(girls) -> None:
    name = TRAIN[3][1]
    wrong = f"0999/{name.split('/')[1]}"
    change(girls / "labels" / "train.csv", name, wrong)
    assert refusal(girls) == (
        f"line 4 of {girls}/labels/train.csv names {wrong}; expected {name.split('/')[0]}/...: "
        "the id modulo 1000, four digits"
    )


def test_lists_of_other_data_may_have_other_paths(tmp_path: Path) -> None:
    rows = [(label, f"{label:03d}.Tern/tern_{n}.png") for label in (0, 1) for n in range(7)]
    root = write_lists(tmp_path / "birds", {"train": rows, "test": [(1, "x/1.png")]})
    assert open_data(str(root)).counts("test") == [0, 1]


def test_three_digit_folders_are_told_from_missing_pictures(girls) -> None:
    for folder in (girls / "faces").iterdir():
        if folder.name != TRAIN[0][1][:4]:
            folder.rename(folder.with_name(folder.name[1:]))
    text = refusal(girls)
    assert "pictures cannot be used, line 2 of " in text
    assert text.endswith("its folders have three digits: rename 291 to 0291 and so on")


def test_missing_pictures_are_counted_and_the_first_is_named(girls) -> None:
    for _, name in (TRAIN[2], VAL[1]):
        (girls / "faces" / name).unlink()
    path = girls / "faces" / TRAIN[2][1]
    assert refusal(girls) == (
        f"2 of 22 pictures cannot be used, line 3 of {girls}/labels/train.csv names {path}, which "
        "is not there; expected every listed picture; copy the pictures again, or drop the row"
    )


def test_no_picture_at_all(girls) -> None:
    (girls / "faces").rename(girls / "photos")
    text = refusal(girls)
    assert "none of the first 15 pictures of" in text
    assert f"expected them below {girls}/faces or {girls}/fullMin256" in text


@pytest.mark.parametrize(
    ("split", "other"), [("train", "train"), ("val", "train"), ("test", "val")]
)
def test_a_picture_listed_twice(girls, split, other) -> None:
    path, name = girls / "labels" / f"{split}.csv", LISTS[other][1][1]
    path.write_text(path.read_text() + f"0,{name}\n")
    assert refusal(girls) == (
        f"{name} is on line 2 of {girls}/labels/{other}.csv and on line {len(LISTS[split]) + 1} "
        f"of {path}; expected each picture once, in one split"
    )


@pytest.mark.parametrize("names", [True, False])
def test_a_gap_in_the_ids(girls, names) -> None:
    if names:
        change(girls / "labels" / "classid_classname.csv", "1,girl_1\n", "")
        assert "has no class 1 but a class 2 (line 2)" in refusal(girls)
    else:
        (girls / "labels" / "classid_classname.csv").unlink()
        path = girls / "labels" / "train.csv"
        keep_lines(path, lambda line: not line.startswith("1,"))
        assert refusal(girls) == (
            f"{path} has no class 1 but a class 2 (line 7); expected class ids 0, 1, 2 and so on "
            "without a gap"
        )


def test_ids_that_begin_with_one_say_so(girls) -> None:
    (girls / "labels" / "classid_classname.csv").unlink()
    for path in (girls / "labels").glob("*.csv"):
        rows = [line.split(",") for line in path.read_text().splitlines()]
        path.write_text("".join(f"{int(n) + 1},{name}\n" for n, name in rows))
    assert "has no class 0 but a class 1 (line 1); " in refusal(girls)
    assert refusal(girls).endswith("; take 1 from every id")


def test_without_names_classes_are_called_by_their_ids(girls) -> None:
    (girls / "labels" / "classid_classname.csv").unlink()
    assert open_data(str(girls)).classes == ("0", "1", "2")


def test_a_class_that_nobody_named(girls) -> None:
    change(girls / "labels" / "val.csv", "2,", "3,")
    names = "classid_classname.csv"
    assert refusal(girls) == (
        f"line 4 of {girls}/labels/val.csv has class 3; expected 0 to 2, as {names}"
    )


def test_a_class_without_training_pictures(girls) -> None:
    path = girls / "labels" / "train.csv"
    keep_lines(path, lambda line: not line.startswith("2,"))
    assert refusal(girls) == (
        f"{path} has no picture of class 2 (girl_2); expected every class in train"
    )


def test_a_class_without_test_pictures_is_no_error(girls) -> None:
    assert open_data(str(girls)).counts("test") == [1, 2, 0]


@pytest.mark.parametrize(
    "name",
    ["../1.png", "..\\1.png", "/etc/passwd", "0007\\\\7.png", ".//7.png", "a//b.png", "a\x07.png"],
)
def test_paths_that_lead_elsewhere(girls, name) -> None:
    change(girls / "labels" / "train.csv", TRAIN[4][1], name)
    assert "line 5 of " in refusal(girls)


@pytest.mark.parametrize("form", ["./{}", "{root}/{}", "windows"])
def test_paths_may_say_where_they_are(girls, form) -> None:
    path = girls / "labels" / "train.csv"
    lines = [line.split(",") for line in path.read_text().splitlines()]
    root = girls / "faces"
    written = [
        (n, name.replace("/", "\\") if form == "windows" else form.format(name, root=root))
        for n, name in lines
    ]
    path.write_text("".join(f"{n},{name}\n" for n, name in written))
    data = open_data(str(girls))
    assert files_of(data.split("train")) == [root / name for _, name in TRAIN]


def test_a_comma_in_the_path_of_a_list(girls, tmp_path: Path) -> None:
    girls.rename(tmp_path / "Smith, J")
    labels = tmp_path / "Smith, J" / "labels"
    counts = open_data(str(labels / "train.csv")).counts("train")
    assert counts == [4, 3, 2]


def test_a_folder_that_is_called_like_a_list(make_folder, tmp_path: Path) -> None:
    root = make_folder(tmp_path / "photos.csv", ("a", "b"))
    assert open_data(str(root)).classes == ("a", "b")


def test_a_list_with_the_wrong_delimiter(girls) -> None:
    path = girls / "labels" / "val.csv"
    path.write_text(path.read_text().replace(",", ";"))
    assert f"line 1 of {path} is separated by semicolons; expected commas" in refusal(girls)


def test_broken_pictures_are_found_as_in_folders(girls) -> None:
    (girls / "faces" / TRAIN[0][1]).write_text("no picture")
    assert "is not a picture Pillow can read" in refusal(girls)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train.csv", "other.csv"], "other.csv among 2 lists; expected one each of"),
        (["train.csv", "train_val.csv"], "train_val.csv among 2 lists"),
        (["val.csv", "test.csv"], "without train.csv"),
    ],
)
def test_lists_that_make_no_data_set(girls, names, message) -> None:
    labels = girls / "labels"
    assert message in refusal(",".join(str(labels / name) for name in names))


def test_folders_of_classes_are_never_taken_for_lists(girls, make_folder) -> None:
    root = make_folder(girls / "photos", ("a", "b"))
    (root / "train.csv").write_text("0,a.jpg\n")
    assert open_data(str(root)).classes == ("a", "b")
    assert CsvSource.find(str(girls / "faces")) is not None
    assert CsvSource.find(str(girls / "nothing")) is None


def test_samples_are_a_sequence_like_any_other(girls, tmp_path: Path) -> None:
    pytest.importorskip("webdataset")
    data = open_data(str(girls))
    samples = data.split("train")
    assert samples[-1] == samples[len(samples) - 1] == samples[5:][-1]
    assert labels_of(samples).tolist() == [label for label, _ in TRAIN]
    assert [sample.size for sample in samples] == [sample.path.stat().st_size for sample in samples]
    with pytest.raises(IndexError):
        samples[15]
    pack(data, tmp_path / "shards", 10_000)
    assert open_data(str(tmp_path / "shards")).counts("train") == [6, 5, 4]


@pytest.mark.slow
def test_lists_as_long_as_the_published_ones(tmp_path: Path) -> None:
    classes, wanted = GOLDEN["classes"], GOLDEN["pictures"]
    found = {}
    for split, first in (("val", 0), ("test", 10**6)):
        lines = (f"{n % classes},{picture_name(first + n)}\n" for n in range(wanted[split]))
        (tmp_path / f"{split}.csv").write_text("class_id,dir\n" + "".join(lines))
        found[split] = read_list(tmp_path / f"{split}.csv", "dir")
        assert len(found[split]) == wanted[split]
        assert {row.class_id for row in found[split]} == set(range(classes))
        assert all(follows_id_rule(row.text) for row in found[split])
    assert not {row.text for row in found["val"]} & {row.text for row in found["test"]}


@pytest.mark.skipif(
    "DAFRE_LABELS" not in os.environ, reason="DAFRE_LABELS names no folder with DAF:re's lists"
)
def test_the_published_lists() -> None:
    folder = Path(os.environ["DAFRE_LABELS"])
    names = read_class_names(folder / "classid_classname.csv")
    assert len(names) == GOLDEN["classes"]
    rows = {split: read_list(folder / f"{split}.csv", "dir") for split in ("val", "test")}
    for split, found in rows.items():
        assert len(found) == GOLDEN["pictures"][split]
        assert {row.class_id for row in found} == set(range(len(names)))
        assert all(follows_id_rule(row.text) for row in found)
    assert not {row.text for row in rows["val"]} & {row.text for row in rows["test"]}
    counts = [Counter(row.class_id for row in rows[split]) for split in ("val", "test")]
    pairs = [(counts[0][label], counts[1][label]) for label in range(len(names))]
    train = [_learned(*pair) for pair in pairs]
    sizes = ClassSizes.of(
        [sum(parts) for parts in zip(train, *zip(*pairs, strict=True), strict=True)]
    )
    assert sizes.gini == pytest.approx(0.66, abs=0.005)
    assert ClassSizes.of(train).imbalance == pytest.approx(534, abs=1)
    assert Shots(tuple(train)).groups.count("many") == 650


def _learned(val: int, test: int) -> int:
    """Return the training pictures of a class, as well as the others tell."""
    fits = [
        parts[0]
        for count in range(4 * test, 5 * test + 10)
        if (parts := [len(part) for part in in_file_order([0] * count)])[1:] == [val, test]
    ]
    return fits[len(fits) // 2]
