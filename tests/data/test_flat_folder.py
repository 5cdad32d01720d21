from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_fgir import InputError
from edge_fgir.data import SPLITS, DataSet, check_data, files_of, looks, open_data
from edge_fgir.runtime import read_image

pytestmark = pytest.mark.unit


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the user's cache folder, still empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def save(path: Path, seed: int) -> Path:
    """Write a picture that looks like no other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)
    Image.fromarray(small).resize((40, 30), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """20 pictures each of two classes, which nobody has split."""
    for label, name in enumerate(("robin", "tit")):
        for number in range(20):
            save(tmp_path / "photos" / name / f"{number:02d}.png", 100 * label + number)
    return tmp_path / "photos"


def sizes(data: DataSet) -> list[list[int]]:
    return [data.counts(split) for split in SPLITS]


def names(data: DataSet, split: str) -> set[str]:
    return {f"{path.parent.name}/{path.name}" for path in files_of(data.splits[split])}


def test_class_folders_are_split(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = open_data(str(photos))
    assert data.classes == ("robin", "tit")
    assert sizes(data) == [[14, 14], [3, 3], [3, 3]]
    assert not names(data, "train") & (names(data, "val") | names(data, "test"))
    assert capsys.readouterr().err.splitlines()[-1] == (
        "photos: split by class and file name into 28 train, 6 val, 6 test pictures "
        "(val and test are 15 and 15 % of each class)"
    )


def test_the_split_does_not_depend_on_where_the_folder_lies(photos: Path, tmp_path: Path) -> None:
    before = open_data(str(photos)).info.hash
    assert open_data(str(photos.rename(tmp_path / "elsewhere"))).info.hash == before


def test_copies_are_on_one_side(photos: Path) -> None:
    test = sorted(names(open_data(str(photos)), "test"))
    with Image.open(photos / test[0]) as image:
        image.resize((64, 50)).save(photos / test[0].replace(".png", "-small.jpg"), quality=80)
    data = open_data(str(photos))
    sides = {test[0], test[0].replace(".png", "-small.jpg")}
    assert any(sides <= names(data, split) for split in SPLITS)
    assert "1 that look like another, or are of its visit, go with it" in data.reading.notes[0]


def test_a_broken_picture_costs_one_picture(photos: Path, capsys) -> None:
    whole = open_data(str(photos))
    bad = photos / "tit" / "03.png"
    bad.write_bytes(bad.read_bytes()[:200])
    data = open_data(str(photos))
    assert sum(map(sum, sizes(data))) == 39
    assert [skipped.file for skipped in data.reading.skipped] == [str(bad)]
    assert "1 picture left out" in capsys.readouterr().err
    # The others stay where they were, but for one at a border that takes its place.
    assert len(names(whole, "train") ^ names(data, "train")) <= 2
    with pytest.raises(InputError, match=r"03\.png is broken or truncated"):
        open_data(str(photos), strict=True)
    (problem,) = check_data(str(photos), min_images=0).problems
    assert (problem.kind, problem.files) == ("unreadable", (str(bad),))


def test_where_most_pictures_are_broken_something_else_is_wrong(photos: Path) -> None:
    for number in range(20):
        (photos / "tit" / f"{number:02d}.png").write_text("<html>")
    (photos / "robin" / "00.png").write_text("<html>")
    with pytest.raises(InputError, match="21 of 40 pictures cannot be used"):
        open_data(str(photos))


def test_a_class_without_usable_pictures_is_named(photos: Path) -> None:
    (photos / "wren").mkdir()
    (photos / "wren" / "a.jpg").write_text("<html>")
    with pytest.raises(InputError, match="class wren of photos has no usable training picture"):
        open_data(str(photos))


@pytest.mark.parametrize(
    ("count", "parts"), [(1, [1, 0, 0]), (2, [1, 1, 0]), (3, [2, 1, 0]), (4, [2, 1, 1])]
)
def test_few_pictures_of_a_class(photos: Path, count: int, parts: list[int]) -> None:
    for number in range(count):
        save(photos / "wren" / f"{number}.png", 500 + number)
    data = open_data(str(photos))
    assert [data.counts(split)[2] for split in SPLITS] == parts
    few = [note for note in data.reading.notes if "too few pictures" in note]
    assert len(few) == parts.count(0)
    assert all(note.endswith(": wren") for note in few)


def test_one_class(photos: Path) -> None:
    (photos / "tit").rename(photos.parent / "tit")
    with pytest.raises(InputError, match="photos holds 1 class folders; expected at least 2"):
        open_data(str(photos))


def test_what_was_seen_is_not_decoded_again(photos: Path, cache: Path, monkeypatch) -> None:
    decoded: list[str] = []
    real = read_image

    def read(path: Path, **options):
        decoded.append(path.name)
        return real(path, **options)

    monkeypatch.setattr(looks, "read_image", read)
    first = open_data(str(photos))
    assert len(decoded) == 40
    decoded.clear()
    assert open_data(str(photos)).splits == first.splits
    assert decoded == []
    save(photos / "tit" / "05.png", 999)
    save(photos / "tit" / "20.png", 1000)
    open_data(str(photos))
    assert sorted(decoded) == ["05.png", "20.png"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nonsense"])
def test_a_damaged_cache_is_made_again(photos: Path, cache: Path, content: bytes) -> None:
    before = open_data(str(photos))
    (file,) = cache.rglob("*.npz")
    file.write_bytes(content)
    assert open_data(str(photos)).splits == before.splits


def test_a_cache_that_cannot_be_written(photos: Path, cache: Path) -> None:
    cache.write_text("no folder")
    assert sizes(open_data(str(photos)))[1] == [3, 3]


@pytest.fixture
def split_folder(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes split folders of given names."""

    def write(*splits: str) -> Path:
        for number, split in enumerate(splits):
            for label, name in enumerate(("robin", "tit")):
                for place in range(8):
                    save(tmp_path / "d" / split / name / f"{place}.png", number * 99 + label * 9)
        return tmp_path / "d"

    return write


@pytest.mark.parametrize("train", ["train", "Train", "training"])
@pytest.mark.parametrize("val", ["valid", "validation", "Val", "dev", "VALIDATION"])
@pytest.mark.parametrize("test", ["test", "Test", "testing"])
def test_splits_go_by_many_names(split_folder, train: str, val: str, test: str) -> None:
    assert sizes(open_data(str(split_folder(train, val, test)))) == [[8, 8]] * 3


def test_two_folders_of_one_split(split_folder) -> None:
    with pytest.raises(InputError, match="holds val and valid; expected one folder for val"):
        open_data(str(split_folder("train", "val", "valid")))


def test_a_folder_that_is_no_split_is_named(split_folder) -> None:
    data = open_data(str(split_folder("train", "val", "holdout")))
    (note,) = data.reading.notes
    assert note.startswith("holdout is no split (train, ")


def test_a_split_without_train(split_folder) -> None:
    with pytest.raises(InputError, match=r"d/train does not exist"):
        open_data(str(split_folder("val", "test")))


def test_one_name_in_two_unicode_forms_is_one_class(tmp_path: Path) -> None:
    for split, form in (("train", "NFC"), ("val", "NFC"), ("test", "NFD")):
        for label, name in enumerate(("Müller", "Tit")):
            folder = unicodedata.normalize(form, name)
            for place in range(3):
                save(tmp_path / "d" / split / folder / f"{place}.png", label * 9 + place)
    assert sizes(open_data(str(tmp_path / "d"))) == [[3, 3]] * 3
    save(tmp_path / "d" / "train" / unicodedata.normalize("NFD", "Müller") / "x.png", 77)
    data = open_data(str(tmp_path / "d"))
    assert sizes(data)[0] == [4, 3]
    assert data.reading.notes == (
        "2 folders are called Müller in different Unicode forms: one class",
    )


@pytest.mark.parametrize("twin", ["Robin", "robin ", "ROBIN"])
def test_names_that_a_person_would_take_for_one(photos: Path, twin: str) -> None:
    save(photos / twin / "0.png", 700)
    notes = open_data(str(photos)).reading.notes
    assert any("differ by capital letters or blanks alone" in note for note in notes)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Gold\tfinch", "the control character U+0009"),
        ("Gold\x1b[31mfinch", "the control character U+001B"),
        ("Gold\x7ffinch", "the control character U+007F"),
        ("Gold\u200bfinch", "the invisible character U+200B"),
        ("Gold\u202efinch", "the invisible character U+202E"),
        ("\ufeffGoldfinch", "the invisible character U+FEFF"),
        (" ", "is blank"),
    ],
)
def test_names_that_cannot_be_labels_are_refused_first(
    photos: Path, name: str, reason: str
) -> None:
    save(photos / name / "0.png", 700)
    with pytest.raises(InputError) as caught:
        open_data(str(photos))
    assert reason in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("names", "note"),
    [
        ([" wren"], "class ' wren' begins with a blank"),
        (["wren\u3000"], "class 'wren\\u3000' ends with a blank"),
        ([" wren "], "class ' wren ' begins and ends with a blank"),
        ([" wren", "lark "], "classes ' wren', 'lark ' begin or end with a blank"),
        (
            [f" {number}" for number in range(8)],
            "classes ' 0', ' 1', ' 2', ' 3', ' 4' and 3 more begin or end with a blank",
        ),
    ],
)
def test_names_with_a_blank_at_an_end_are_said(photos: Path, names: list[str], note: str) -> None:
    for number, name in enumerate(names):
        save(photos / name / "0.png", 700 + number)
    assert note in open_data(str(photos)).reading.notes
    assert note in check_data(str(photos)).data.reading.notes


def test_names_without_such_blanks_need_no_word(photos: Path) -> None:
    save(photos / "great tit" / "0.png", 700)
    assert not any("blank" in note for note in open_data(str(photos)).reading.notes)


def test_nested_folders_belong_to_their_class_and_it_is_said(photos: Path) -> None:
    save(photos / "tit" / "2024" / "may.png", 700)
    (photos / "tit" / "notes.txt").write_text("seen in May")
    (photos / "empty").mkdir()
    save(photos / ".50_BMG" / "a.png", 701)
    save(photos / ".thumbnails" / "a.png", 702)
    save(photos / "@eaDir" / "a.png", 703)
    data = open_data(str(photos))
    assert data.classes == ("robin", "tit")
    assert sum(map(sum, sizes(data))) == 41
    assert data.reading.notes[:4] == (
        "1 pictures lie in folders inside class folders, such as tit, and belong to these classes",
        "1 files that are no pictures were passed over (.txt)",
        "the hidden folder .50_BMG was passed over; rename it if it is a class",
        "folders without pictures are no classes: empty",
    )


def test_what_all_splits_have_is_said_once(split_folder) -> None:
    root = split_folder("train", "val", "test")
    for split in ("train", "val", "test"):
        save(root / split / ".50_BMG" / "a.png", 1)
        (root / split / "tit" / "notes.txt").write_text("seen in May")
    assert open_data(str(root)).reading.notes == (
        "3 files that are no pictures were passed over (.txt)",
        "the hidden folder .50_BMG was passed over; rename it if it is a class",
    )


def test_a_folder_in_a_folder_as_archives_leave_it(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "download").mkdir()
    photos.rename(tmp_path / "download" / "photos")
    data = open_data(str(tmp_path / "download"))
    assert (data.name, sizes(data)[1]) == ("download", [3, 3])
    assert data.reading.notes[0] == f"read from {tmp_path}/download/photos"


@pytest.fixture
def dogs(photos: Path, tmp_path: Path) -> Path:
    """Stanford Dogs as it is unpacked: pictures, boxes without an ending, and lists."""
    root = tmp_path / "dogs"
    root.mkdir()
    photos.rename(root / "Images")
    for name in ("robin", "tit"):
        (root / "Annotation" / name).mkdir(parents=True)
        (root / "Annotation" / name / f"{name}_10074").write_text("<annotation></annotation>")
    (root / "train_list.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    return root


def test_the_one_folder_of_class_folders_is_read(dogs: Path) -> None:
    data = open_data(str(dogs))
    assert (data.name, data.classes, sizes(data)[1]) == ("dogs", ("robin", "tit"), [3, 3])
    assert data.reading.notes[0] == (
        f"read from {dogs / 'Images'}; no pictures in Annotation; MATLAB files, in which its split "
        "may be, are not read (train_list.mat)"
    )
    (dogs / "train_list.mat").unlink()
    note = open_data(str(dogs)).reading.notes[0]
    assert note == f"read from {dogs / 'Images'}; no pictures in Annotation"


def test_the_one_folder_of_split_folders_is_read(dogs: Path) -> None:
    for split in ("train", "val"):
        for label, name in enumerate(("robin", "tit")):
            save(dogs / "split" / split / name / "0.png", 900 + label)
            save(dogs / "split" / split / name / "1.png", 910 + label)
    for name in ("robin", "tit"):
        for path in (dogs / "Images" / name).iterdir():
            path.unlink()
        (dogs / "Images" / name / "notes.txt").write_text("none")
    assert sizes(open_data(str(dogs)))[:2] == [[2, 2], [2, 2]]


def test_of_two_folders_with_pictures_both_are_classes(dogs: Path) -> None:
    save(dogs / "Annotation" / "robin" / "mask.png", 900)
    (dogs / "Images" / "tit" / "notes.txt").write_text("seen in May")
    assert open_data(str(dogs)).classes == ("Annotation", "Images")


def test_an_empty_folder_is_a_class_that_waits(photos: Path) -> None:
    for number in range(2):
        save(photos / "robin" / str(number) / "a.png", 900 + number)
    for path in [*photos.glob("tit/*"), *photos.glob("robin/*.png")]:
        path.unlink()
    with pytest.raises(InputError, match="photos holds 1 class folders; expected at least 2"):
        open_data(str(photos))


def test_what_cannot_be_looked_at_may_hold_pictures(dogs: Path) -> None:
    (dogs / "Annotation" / "x.jpg").symlink_to(dogs / "gone.jpg")
    with pytest.raises(InputError, match="dogs holds 1 class folders; expected at least 2"):
        open_data(str(dogs))


def test_a_link_to_nothing_costs_one_picture(photos: Path) -> None:
    (photos / "tit" / "x.jpg").symlink_to(photos / "gone.jpg")
    (skipped,) = open_data(str(photos)).reading.skipped
    assert "gone.jpg, which is not there" in skipped.reason
    with pytest.raises(InputError, match="is a link to"):
        open_data(str(photos), strict=True)


def test_pictures_without_a_known_ending_count(photos: Path) -> None:
    for path in (photos / "tit").iterdir():
        path.rename(path.with_suffix(".png?w=300"))
    assert sum(map(sum, sizes(open_data(str(photos))))) == 40


@pytest.mark.slow
def test_five_thousand_classes(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for label in range(5000):
        folder = tmp_path / "many" / f"class {label:04d}"
        folder.mkdir(parents=True)
        for number in range(2):
            pixels = random.integers(0, 256, (9, 9, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.bmp")
    data = open_data(str(tmp_path / "many"))
    assert len(data.classes) == 5000
    assert [len(data.splits[split]) for split in SPLITS] == [5000, 5000, 0]
    assert max(len(note) for note in data.reading.notes) < 300
