"""Data sets in the forms in which they are published, remade small."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_fgir import InputError
from edge_fgir.data import SPLITS, DataSet, files_of, open_data

pytestmark = pytest.mark.unit

BIRDS = ("Laysan_Albatross", "Müller", "Crested Auklet")


def save(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)
    Image.fromarray(small).resize((30, 24), Image.Resampling.BICUBIC).save(path)
    return path


def cub(root: Path) -> Path:
    lines: dict[str, list[str]] = {name: [] for name in ("images", "labels", "split")}
    for label, bird in enumerate(BIRDS):
        for number in range(8):
            image = 8 * label + number + 1
            path = f"{label + 1:03d}.{bird}/{bird}_{number}.png"
            save(root / "images" / path, image)
            lines["images"].append(f"{image} {path}")
            lines["labels"].append(f"{image} {label + 1}")
            lines["split"].append(f"{image} {int(number < 6)}")
    names = [f"{label + 1} {label + 1:03d}.{bird}" for label, bird in enumerate(BIRDS)]
    for name, content in (
        ("images", lines["images"]),
        ("image_class_labels", lines["labels"]),
        ("train_test_split", lines["split"]),
        ("classes", names),
    ):
        text = "\r\n".join(content) + "\r\n"
        (root / f"{name}.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
    return root


def aircraft(root: Path) -> Path:
    for split in SPLITS:
        lines = []
        for label, variant in enumerate(("707-320", "F/A-18", "Falcon 2000")):
            for number in range({"train": 5, "val": 1, "test": 2}[split]):
                image = f"{SPLITS.index(split)}{label}{number:05d}"
                save(root / "data" / "images" / f"{image}.jpg", int(image))
                lines.append(f"{image} {variant}")
        (root / "data" / f"images_variant_{split}.txt").write_text("\n".join(lines))
    return root


def cars(root: Path) -> Path:
    savemat = pytest.importorskip("scipy.io").savemat
    (root / "devkit").mkdir(parents=True)
    names = np.array(["AM General Hummer SUV 2000", "Acura RL Sedan 2012"], object)
    savemat(root / "devkit" / "cars_meta.mat", {"class_names": names})
    for split, name, count in (
        ("train", "devkit/cars_train_annos.mat", 20),
        ("test", "cars_test_annos_withlabels.mat", 6),
    ):
        kinds = [("class", object), ("fname", object)]
        table = np.array(
            [(number % 2 + 1, f"{number:05d}.jpg") for number in range(count)], np.dtype(kinds)
        )
        savemat(root / name, {"annotations": table})
        for number in range(count):
            save(root / f"cars_{split}" / f"{number:05d}.jpg", number + 100 * count)
    return root


def flowers(root: Path) -> Path:
    savemat = pytest.importorskip("scipy.io").savemat
    for image in range(1, 31):
        save(root / "jpg" / f"image_{image:05d}.jpg", image)
    numbers = np.arange(1, 31)
    savemat(root / "imagelabels.mat", {"labels": numbers % 3 + 9})
    parts = {"trnid": numbers[:15], "valid": numbers[15:21], "tstid": numbers[21:]}
    savemat(root / "setid.mat", parts)
    return root


def pets(root: Path) -> Path:
    for name, count in (("trainval", 10), ("test", 3)):
        lines = []
        for label, breed in enumerate(("Abyssinian", "american_bulldog"), 1):
            for number in range(count):
                image = f"{breed}_{100 * count + number}"
                save(root / "images" / f"{image}.jpg", 1000 * label + 10 * count + number)
                lines.append(f"{image} {label} {label} 1")
        (root / "annotations").mkdir(exist_ok=True)
        (root / "annotations" / f"{name}.txt").write_bytes("\r\n".join(lines).encode())
    (root / "annotations" / "list.txt").write_text("#Image CLASS-ID SPECIES BREED ID")
    return root


def food(root: Path) -> Path:
    for name, numbers in (("train", range(10)), ("test", range(10, 13))):
        lines = []
        for label, dish in enumerate(("apple_pie", "baby_back_ribs")):
            for number in numbers:
                save(root / "images" / dish / f"{label}{number:03d}.jpg", 100 * label + number)
                lines.append(f"{dish}/{label}{number:03d}")
        (root / "meta").mkdir(exist_ok=True)
        (root / "meta" / f"{name}.txt").write_text("\n".join(lines) + "\n")
    (root / "meta" / "classes.txt").write_text("apple_pie\nbaby_back_ribs\n")
    return root


def textures(root: Path) -> Path:
    for place, split in enumerate(SPLITS):
        lines = []
        for label, texture in enumerate(("banded", "polka-dotted", "zigzagged")):
            for number in range(2):
                name = f"{texture}/{texture}_{place}{number}.jpg"
                save(root / "images" / name, 100 * place + 10 * label + number)
                lines.append(name)
        (root / "labels").mkdir(exist_ok=True)
        (root / "labels" / f"{split}1.txt").write_text("\n".join(lines))
        (root / "labels" / f"{split}2.txt").write_text("".join(lines[:1]))
    (root / "imdb").mkdir()
    (root / "imdb" / "imdb.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    return root


def imagefolder(root: Path, ending: str = "jsonl") -> Path:
    for split, count in (("train", 7), ("validation", 2), ("test", 2)):
        rows = []
        for bird in BIRDS:
            for number in range(count):
                name = f"{bird}_{number}.png"
                save(root / split / name, 1000 * count + len(rows))
                rows.append({"file_name": name, "label": bird})
        if ending == "jsonl":
            text = "".join(json.dumps(row) + "\n" for row in rows)
        else:
            text = "file_name,label\n" + "".join(f"{r['file_name']},{r['label']}\n" for r in rows)
        (root / split / f"metadata.{ending}").write_text(text, "utf-8")
    return root


def coco(root: Path) -> Path:
    for split, count in (("train", 7), ("valid", 2), ("test", 2)):
        images, annotations = [], []
        for label in range(len(BIRDS)):
            for number in range(count):
                place = len(images)
                name = f"{label}_{number}.jpg"
                save(root / split / name, 1000 * count + place)
                images.append({"id": place, "file_name": name})
                annotations.append({"id": place, "image_id": place, "category_id": label + 1})
        images.append({"id": 99, "file_name": "two.jpg"})
        annotations += [{"image_id": 99, "category_id": label} for label in (1, 2)]
        categories = [{"id": 0, "name": "birds"}]
        categories += [{"id": label + 1, "name": bird} for label, bird in enumerate(BIRDS)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (root / split / "_annotations.coco.json").write_text(json.dumps(content))
    return root


def coco_instances(root: Path) -> Path:
    coco(root)
    (root / "annotations").mkdir()
    for split, name in (("train", "train2017"), ("valid", "val2017"), ("test", "test2017")):
        (root / split).rename(root / name)
        file = root / name / "_annotations.coco.json"
        file.rename(root / "annotations" / f"instances_{name}.json")
    return root


def table(root: Path, header: str = "image_id,label", ending: str = "") -> Path:
    lines = [header]
    for label, bird in enumerate(BIRDS):
        for number in range(10):
            save(root / "train_images" / f"{bird}_{number}.jpg", 100 * label + number)
            lines.append(f'"{bird}_{number}{ending}",{bird}')
    (root / "train.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    return root


def sizes(data: DataSet) -> list[list[int]]:
    return [data.counts(split) for split in SPLITS]


FORMS: dict[Callable[[Path], Path], tuple[int, list[list[int]]]] = {
    cub: (3, [[5, 5, 5], [1, 1, 1], [2, 2, 2]]),
    aircraft: (3, [[5, 5, 5], [1, 1, 1], [2, 2, 2]]),
    cars: (2, [[9, 9], [1, 1], [3, 3]]),
    flowers: (3, [[5, 5, 5], [2, 2, 2], [3, 3, 3]]),
    pets: (2, [[9, 9], [1, 1], [3, 3]]),
    food: (2, [[9, 9], [1, 1], [3, 3]]),
    textures: (3, [[2, 2, 2], [2, 2, 2], [2, 2, 2]]),
    imagefolder: (3, [[7, 7, 7], [2, 2, 2], [2, 2, 2]]),
    coco: (3, [[7, 7, 7], [2, 2, 2], [2, 2, 2]]),
    coco_instances: (3, [[7, 7, 7], [2, 2, 2], [2, 2, 2]]),
}


@pytest.mark.parametrize("make", FORMS)
def test_published_forms_are_read_in_place(tmp_path: Path, make) -> None:
    classes, counts = FORMS[make]
    root = make(tmp_path / "set")
    data = open_data(str(root))
    assert (data.name, len(data.classes), sizes(data)) == ("set", classes, counts)
    assert data.reading.skipped == ()
    assert data.read(data.split("test")[0]).shape == (24, 30, 3)
    assert all(root in file.parents for file in files_of(data.split("train")))


@pytest.mark.parametrize("make", FORMS)
def test_a_broken_picture_costs_one_picture(tmp_path: Path, make) -> None:
    root = make(tmp_path / "set")
    bad = files_of(open_data(str(root)).split("test"))[0]
    bad.unlink()
    data = open_data(str(root))
    assert [picture.file for picture in data.reading.skipped] == [str(bad)]
    assert sum(map(sum, sizes(data))) == sum(map(sum, FORMS[make][1])) - 1
    with pytest.raises(InputError, match="does not exist"):
        open_data(str(root), strict=True)


def test_cub_keeps_its_names_and_order(tmp_path: Path) -> None:
    data = open_data(str(cub(tmp_path / "CUB_200_2011")))
    assert data.classes == tuple(f"{n:03d}.{bird}" for n, bird in enumerate(BIRDS, 1))


def test_a_variant_may_have_a_slash(tmp_path: Path) -> None:
    assert "F/A-18" in open_data(str(aircraft(tmp_path / "fgvc"))).classes
    assert "F/A-18" in open_data(str(tmp_path / "fgvc" / "data")).classes


def test_metadata_may_be_csv_or_lie_in_the_root(tmp_path: Path) -> None:
    assert sizes(open_data(str(imagefolder(tmp_path / "a", "csv"))))[2] == [2, 2, 2]
    root = imagefolder(tmp_path / "b")
    lines = []
    for split in ("train", "validation", "test"):
        file = root / split / "metadata.jsonl"
        lines += [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        for record in lines[-len(BIRDS) * 2 if split != "train" else 0 :]:
            record["file_name"] = f"./{split}/{record['file_name']}"
        file.unlink()
    (root / "metadata.jsonl").write_text("".join(json.dumps(record) + "\n" for record in lines))
    data = open_data(str(root))
    # Nothing says which split a picture is in, so they are split anew.
    assert sum(map(sum, sizes(data))) == 33
    assert data.reading.notes[0].startswith("split by class and file name into ")


def test_pictures_of_several_classes_are_left_out_and_counted(tmp_path: Path) -> None:
    data = open_data(str(coco(tmp_path / "set")))
    assert data.reading.notes == ("3 pictures show no class or several: not read",)


@pytest.mark.parametrize("header", ["image_id,label", "ID,Species", "filename,breed"])
@pytest.mark.parametrize("ending", ["", ".jpg"])
def test_tables_of_contests(tmp_path: Path, header: str, ending: str) -> None:
    root = table(tmp_path / "contest", header, ending)
    for source in (root, root / "train.csv"):
        data = open_data(str(source))
        assert set(data.classes) == set(BIRDS)
        assert sizes(data) == [[6, 6, 6], [2, 2, 2], [2, 2, 2]]
        assert data.reading.notes[0].endswith(f"column {header.split(',')[1]} of train.csv")


def test_a_table_whose_pictures_are_not_there(tmp_path: Path) -> None:
    root = table(tmp_path / "contest")
    (root / "train_images").rename(root / "elsewhere")
    with pytest.raises(InputError, match=r"the first picture of .*, 'Laysan_Albatross_0', is not"):
        open_data(str(root))


def test_of_two_metadata_files_one_is_read(tmp_path: Path) -> None:
    root = imagefolder(imagefolder(tmp_path / "set"), "csv")
    assert sizes(open_data(str(root)))[0] == [7, 7, 7]


def test_paths_may_have_the_separators_of_windows(tmp_path: Path) -> None:
    root = cub(tmp_path / "set")
    file = root / "images.txt"
    file.write_text(file.read_text().replace("/", "\\"))
    assert sizes(open_data(str(root)))[0] == sizes(open_data(str(cub(tmp_path / "plain"))))[0]


def test_what_a_list_of_cocos_lacks_is_named(tmp_path: Path) -> None:
    root = coco(tmp_path / "set")
    (root / "train" / "_annotations.coco.json").write_text("{}")
    with pytest.raises(InputError, match=r"coco\.json lacks 'categories'; expected images, ann"):
        open_data(str(root))


@pytest.mark.parametrize(
    "path", ["../secret.png", "..\\\\secret.png", "/etc/passwd", "a//b.png", "."]
)
@pytest.mark.parametrize("make", [imagefolder, coco, cub, food])
def test_paths_that_lead_elsewhere(tmp_path: Path, make, path: str) -> None:
    root = make(tmp_path / "set")
    file = {
        imagefolder: root / "train" / "metadata.jsonl",
        coco: root / "train" / "_annotations.coco.json",
        cub: root / "images.txt",
        food: root / "meta" / "train.txt",
    }[make]
    name = {
        imagefolder: "Laysan_Albatross_0.png",
        coco: "0_0.jpg",
        cub: "001.Laysan_Albatross/Laysan_Albatross_0.png",
        food: "apple_pie/0000",
    }[make]
    file.write_bytes(file.read_bytes().replace(name.encode(), path.encode(), 1))
    with pytest.raises(InputError, match=r"expected (one that stays below|<class>/<image>$)"):
        open_data(str(root))


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"nonsense", b"\xff\xfe{", b"[" * 100_000, b"\xe4\n"]
)
@pytest.mark.parametrize(
    "make",
    [*(imagefolder, coco, coco_instances, cub, aircraft, cars), *(flowers, pets, food, textures)],
)
def test_damaged_lists_are_one_line(tmp_path: Path, make, content: bytes) -> None:
    root = make(tmp_path / "set")
    file = {
        imagefolder: root / "train" / "metadata.jsonl",
        coco: root / "train" / "_annotations.coco.json",
        coco_instances: root / "annotations" / "instances_train2017.json",
        cub: root / "images.txt",
        aircraft: root / "data" / "images_variant_train.txt",
        cars: root / "devkit" / "cars_train_annos.mat",
        flowers: root / "setid.mat",
        pets: root / "annotations" / "trainval.txt",
        food: root / "meta" / "train.txt",
        textures: root / "labels" / "train1.txt",
    }[make]
    file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        open_data(str(root))
    assert len(str(caught.value).splitlines()) == 1


def test_flowers_are_called_by_their_numbers(tmp_path: Path) -> None:
    data = open_data(str(flowers(tmp_path / "set")))
    assert data.classes == ("9", "10", "11")
    assert data.reading.notes == (
        "the data set names no classes: they are called by their numbers",
    )


@pytest.mark.parametrize(
    "labels",
    [
        *(np.zeros(30), np.full(30, 10_001), np.full(30, -1), np.full(30, np.nan)),
        *(np.full(30, np.inf), np.full(30, 1.5), np.full(30, 99999999999), np.ones((6, 5))),
        *(np.full(30, "a"), np.full(30, 1 + 2j), np.zeros(0)),
    ],
)
def test_numbers_of_a_matlab_file_that_are_no_classes(tmp_path: Path, labels) -> None:
    savemat = pytest.importorskip("scipy.io").savemat
    savemat(flowers(tmp_path / "set") / "imagelabels.mat", {"labels": labels})
    with pytest.raises(InputError, match="; expected whole numbers from 1 to "):
        open_data(str(tmp_path / "set"))


@pytest.mark.parametrize("label", [0, 3, 99999999999, float("nan"), "one", [1, 2], []])
def test_classes_that_stanford_cars_do_not_have(tmp_path: Path, label) -> None:
    savemat = pytest.importorskip("scipy.io").savemat
    root = cars(tmp_path / "set")
    rows = np.empty(2, np.dtype([("class", object), ("fname", object)]))
    rows[0], rows[1] = (1, "00000.jpg"), (label, "00001.jpg")
    savemat(root / "devkit" / "cars_train_annos.mat", {"annotations": rows})
    with pytest.raises(InputError, match="; expected whole numbers from 1 to 2"):
        open_data(str(root))


def test_lists_beside_class_folders_are_named(tmp_path: Path) -> None:
    assert open_data(str(food(tmp_path / "food"))).reading.notes == (
        "split as train.txt and test.txt of meta say",
    )
    assert open_data(str(textures(tmp_path / "dtd"))).reading.notes == (
        "split as train1.txt and val1.txt and test1.txt of labels say",
    )


@pytest.mark.parametrize(
    "line", ["Abyssinian_100", "Abyssinian 1 1 1", "Abyssinian_1 1 1", "Abyssinian_1 nan 1 1"]
)
def test_lines_that_no_list_of_pets_has(tmp_path: Path, line: str) -> None:
    root = pets(tmp_path / "set")
    (root / "annotations" / "test.txt").write_text(f"{line}\n")
    with pytest.raises(InputError, match=r"test\.txt .*; expected "):
        open_data(str(root))


@pytest.mark.parametrize("name", [" lead", "trail "])
def test_a_listed_class_with_a_blank_at_an_end(tmp_path: Path, name: str) -> None:
    root = imagefolder(tmp_path / "set")
    file = root / "train" / "metadata.jsonl"
    file.write_text(file.read_text("utf-8").replace('"Crested Auklet"', f'"{name}"'), "utf-8")
    assert any(f"class {name!r} " in note for note in open_data(str(root)).reading.notes)
