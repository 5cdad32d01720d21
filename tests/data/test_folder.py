from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_fgir import InputError
from edge_fgir.data import open_data, prepared_images
from edge_fgir.runtime import Preprocess

pytestmark = pytest.mark.unit

Layout = dict[str, dict[str, int]]


@pytest.fixture
def make(tmp_path) -> Callable[[Layout], Path]:
    """Return a function that writes ``{split: {class: pictures}}`` and returns the folder."""

    def write(layout: Layout) -> Path:
        root = tmp_path / "birds"
        root.mkdir()
        for split, classes in layout.items():
            for label, (name, count) in enumerate(classes.items()):
                folder = root / split / name
                folder.mkdir(parents=True)
                for number in range(count):
                    color = (label * 40, number, 100)
                    Image.new("RGB", (12, 10), color).save(folder / f"{number:02d}.png")
        return root

    return write


@pytest.fixture
def birds(make) -> Path:
    return make({split: {"tit": 3, "robin": 4} for split in ("train", "val", "test")})


def names(samples) -> list[str]:
    return [f"{sample.path.parent.name}/{sample.path.name}" for sample in samples]


def refusal(root: Path | str, *, strict: bool = True) -> str:
    with pytest.raises(InputError) as caught:
        open_data(str(root), strict=strict)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert caught.value.exit_code == 2
    return text


def test_classes_are_in_name_order(birds) -> None:
    data = open_data(str(birds))
    assert (data.name, data.classes) == ("birds", ("robin", "tit"))
    assert data.counts("train") == [4, 3]
    assert names(data.split("test")) == [
        *(f"robin/0{n}.png" for n in range(4)),
        *(f"tit/0{n}.png" for n in range(3)),
    ]
    assert [sample.label for sample in data.split("val")] == [0] * 4 + [1] * 3


def test_pixels_are_those_of_the_file(birds) -> None:
    data = open_data(str(birds))
    pixels = data.read(data.split("train")[1])
    assert pixels.shape == (10, 12, 3)
    assert (pixels == (40, 1, 100)).all()


def test_prepared_images_keep_the_order(birds) -> None:
    data = open_data(str(birds))
    images = prepared_images(data, data.split("train"), Preprocess(size=16))
    assert images.shape == (7, 16, 16, 3)
    assert images[:, 0, 0, 0].tolist() == [40] * 4 + [0] * 3
    assert images[:, 5, 5, 1].tolist() == [0, 1, 2, 3, 0, 1, 2]


def test_pictures_may_lie_in_subfolders(birds) -> None:
    (birds / "train" / "tit" / "2024" / "may").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(birds / "train" / "tit" / "2024" / "may" / "a.JPG", "JPEG")
    assert open_data(str(birds)).counts("train") == [4, 4]


def test_hidden_and_other_files_are_passed_over(birds) -> None:
    tit = birds / "train" / "tit"
    for name in (".a.png", "._b.jpg", "notes.txt", "Thumbs.db"):
        (tit / name).write_text("no picture")
    for folder in (tit / ".thumbnails", birds / "train" / ".ipynb_checkpoints", birds / ".git"):
        folder.mkdir()
        (folder / "c.png").write_text("no picture")
    (birds / "train" / "README.md").write_text("photographs of birds")
    data = open_data(str(birds))
    assert data.classes == ("robin", "tit")
    assert data.counts("train") == [4, 3]


def test_a_test_split_may_lack_classes_and_be_missing(make) -> None:
    root = make({"train": {"a": 2, "b": 2}, "val": {"a": 1}, "test": {"b": 1}})
    data = open_data(str(root))
    assert data.counts("val") == [1, 0]
    assert data.counts("test") == [0, 1]


def test_a_split_that_is_not_there_is_named(make) -> None:
    data = open_data(str(make({"train": {"a": 2, "b": 2}, "val": {"a": 1, "b": 1}})))
    with pytest.raises(InputError, match=r"birds has no test split; expected one of train, val$"):
        data.split("test")


def test_without_val_a_tenth_of_train_is_set_aside(make) -> None:
    data = open_data(str(make({"train": {"a": 60, "b": 20, "c": 3}, "test": {"a": 1}})))
    assert data.counts("train") == [54, 18, 3]
    assert data.counts("val") == [6, 2, 0]
    train, val = ({sample.path for sample in data.split(split)} for split in ("train", "val"))
    assert not train & val
    assert len(train | val) == 83
    assert open_data(str(data.split("train")[0].path.parents[2])).splits == data.splits


def test_what_is_set_aside_is_not_simply_the_first(make) -> None:
    data = open_data(str(make({"train": {"a": 60, "b": 60}})))
    assert names(data.split("val"))[:6] != [f"a/0{n}.png" for n in range(6)]


@pytest.mark.parametrize("count", range(2, 6))
def test_of_a_few_pictures_a_class_one_is_set_aside(make, count) -> None:
    data = open_data(str(make({"train": {"a": count, "b": count, "c": 1}})))
    assert data.counts("val") == [1, 1, 0]
    assert data.counts("train") == [count - 1, count - 1, 1]
    assert sorted(data.with_val_in_train().counts("train")) == [1, count, count]


def test_too_few_pictures_to_set_some_aside(make) -> None:
    assert refusal(make({"train": {"a": 1, "b": 1}})) == (
        "train has 2 pictures, too few to set a validation share aside; "
        "expected at least 2 a class, or a val folder"
    )


def test_as_many_as_the_message_asks_for_are_enough(make) -> None:
    assert open_data(str(make({"train": {"a": 2, "b": 2}}))).counts("val") == [1, 1]


LAYOUT = "expected train/<class>/<image>, and the same under test (and val)"


def test_a_missing_folder(tmp_path: Path) -> None:
    path = tmp_path / "no"
    assert refusal(path) == f"data folder {path} does not exist; {LAYOUT}"


def test_a_tilde_that_no_shell_expanded() -> None:
    assert refusal(Path("~/no")).endswith("; write the folder out: ~ was not expanded")


def test_a_file_instead_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    assert "a.txt is a file (.txt); expected a folder" in refusal(tmp_path / "a.txt")


def test_an_empty_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path / 'train'} does not exist; {LAYOUT}, or <class>/<image>"


@pytest.mark.parametrize("classes", [{}, {"a": 3}])
def test_fewer_than_two_classes(make, classes) -> None:
    root = make({"train": classes, "test": {}})
    (root / "train").mkdir(exist_ok=True)
    assert f"train holds {len(classes)} class folders; expected at least 2: " in refusal(root)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_class_without_pictures(make, split) -> None:
    layout = {"train": {"a": 2, "b": 2}, "val": {"a": 1}, "test": {"a": 1}}
    root = make(layout)
    (root / split / "b").mkdir(exist_ok=True)
    for file in (root / split / "b").iterdir():
        file.rename(file.with_suffix(".txt"))
    path = root / split / "b"
    assert refusal(root) == (
        f"class folder {path} holds no pictures; expected at least one; "
        "add pictures or remove the folder"
    )


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_class_that_train_does_not_have(make, split) -> None:
    root = make({"train": {"a": 2, "b": 2}, "val": {"a": 1}, split: {"a": 1, "c": 1}})
    path = root / split / "c"
    assert refusal(root) == (
        f"{path} is a class that train does not have; expected the class names of train"
    )


@pytest.mark.parametrize("split", ["val", "test"])
def test_an_empty_split(make, split) -> None:
    root = make({"train": {"a": 2, "b": 2}, "val": {"a": 1}})
    (root / split).mkdir(exist_ok=True)
    for file in (root / split).rglob("*.png"):
        file.unlink()
    for folder in (root / split).iterdir():
        folder.rmdir()
    assert refusal(root) == f"{root / split} is empty; {LAYOUT}"


@pytest.mark.parametrize("name", ["two\nlines", "a\u2028b", "cut\x85here", "\udcff"])
def test_class_names_that_no_line_of_labels_can_hold(make, name) -> None:
    root = make({"train": {"a": 2, name: 2}, "val": {"a": 1}})
    assert "cannot be a line of labels.txt; expected one line of UTF-8 text" in refusal(root)


@pytest.mark.parametrize("name", ["great tit", "Кошка", "雀", "a.b-c", "x" * 200])
def test_class_names_of_any_script(make, name) -> None:
    root = make({"train": {"A": 2, name: 2}, "val": {"A": 1}})
    assert set(open_data(str(root)).classes) == {"A", name}


def test_one_bad_picture_is_named_with_its_remedy(birds) -> None:
    path = birds / "test" / "robin" / "01.png"
    path.write_text("no picture")
    assert refusal(birds) == (
        f"{path} is not a picture Pillow can read; expected JPEG, PNG, BMP, WebP or TIFF; "
        "replace or remove the file"
    )


def test_the_first_of_many_bad_pictures_is_named_and_all_are_counted(birds) -> None:
    first = birds / "train" / "robin" / "02.png"
    for path in (first, birds / "val" / "tit" / "00.png", birds / "test" / "tit" / "02.png"):
        path.write_text("no picture")
    assert refusal(birds).startswith(
        f"3 of 21 pictures cannot be used, {first} is not a picture Pillow can read; expected "
    )


def test_odd_pictures_are_refused_or_converted(birds) -> None:
    path = birds / "val" / "tit" / "00.png"
    Image.new("RGBA", (10, 10), (0, 0, 0, 0)).save(path)
    assert "--convert" in refusal(birds)
    data = open_data(str(birds))
    (sample,) = (sample for sample in data.split("val") if sample.path == path)
    assert (data.read(sample) == 255).all()


def test_what_cannot_be_converted_is_found_before_the_work_begins(birds) -> None:
    path = birds / "val" / "tit" / "00.tif"
    Image.fromarray(np.zeros((10, 10), np.float32)).save(path)
    (skipped,) = open_data(str(birds)).reading.skipped
    assert skipped.file == str(path)
    assert "is a floating-point image" in skipped.reason


def test_the_hash_tells_changes_of_names_labels_splits_and_sizes(birds) -> None:
    def digest() -> str:
        return open_data(str(birds)).info.hash

    found = {digest()}
    assert digest() in found
    (birds / "train" / "tit" / "00.png").rename(birds / "train" / "tit" / "99.png")
    found.add(digest())
    (birds / "train" / "tit" / "99.png").rename(birds / "train" / "robin" / "99.png")
    found.add(digest())
    (birds / "train" / "robin" / "99.png").rename(birds / "val" / "robin" / "99.png")
    found.add(digest())
    Image.new("RGB", (40, 40), "red").save(birds / "val" / "robin" / "99.png")
    found.add(digest())
    for split in ("train", "val", "test"):
        (birds / split / "tit").rename(birds / split / "tits")
    found.add(digest())
    assert len(found) == 6


def test_a_file_name_of_an_old_camera_is_no_obstacle(birds) -> None:
    tit = birds / "train" / "tit"
    (tit / "00.png").rename(tit / "m\udcfcnchen.png")  # Latin-1 bytes, not UTF-8
    data = open_data(str(birds))
    assert data.counts("train") == [4, 3]
    assert len(data.info.hash) == 64


def test_the_hash_is_the_same_wherever_the_folder_lies(birds, tmp_path: Path) -> None:
    before = open_data(str(birds)).info.hash
    moved = birds.rename(tmp_path / "elsewhere")
    assert open_data(str(moved)).info.hash == before


def test_damage_in_the_middle_is_found_before_the_work_begins(birds) -> None:
    path = birds / "train" / "tit" / "00.png"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 200] = bytes(200)
    path.write_bytes(content)
    (skipped,) = open_data(str(birds)).reading.skipped
    assert skipped.file == str(path)
    assert "is broken or truncated" in refusal(birds)


def test_a_class_that_loses_all_its_pictures(birds) -> None:
    for path in (birds / "train" / "tit").iterdir():
        path.write_text("no picture")
    assert "class tit of birds has no usable training picture" in refusal(birds, strict=False)
