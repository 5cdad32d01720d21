"""Data sets in the forms in which they are published, remade small."""

from __future__ import annotations

import json
import os
import re
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


def coco_by_name(root: Path) -> Path:
    """As iNaturalist's: lists beside the folder of the pictures."""
    coco(root)
    for split in ("train", "valid", "test"):
        file = root / split / "_annotations.coco.json"
        content = json.loads(file.read_text())
        for image in content["images"]:
            image["file_name"] = f"pictures/{split}/{image['file_name']}"
        (root / f"{split}2019.json").write_text(json.dumps(content))
        file.unlink()
    (root / "pictures").mkdir()
    for split in ("train", "valid", "test"):
        (root / split).rename(root / "pictures" / split)
    (root / "package.json").write_text("{}")
    return root


def createml(root: Path) -> Path:
    for split, count in (("train", 7), ("valid", 2), ("test", 2)):
        found = []
        shown = [[label] for label in range(len(BIRDS)) for _ in range(count)]
        for number, labels in enumerate([*shown, [1, 2], []]):
            save(root / split / f"{number}.jpg", 1000 * count + number)
            boxes = [{"label": BIRDS[label], "coordinates": {"x": 9}} for label in labels]
            found.append({"image": f"{number}.jpg", "annotations": boxes})
        file = root / split / "_annotations.createml.json"
        file.write_text(json.dumps(found), "utf-8")
    return root


def one_hot(root: Path) -> Path:
    for split, count in (("train", 7), ("valid", 2), ("test", 2)):
        lines = [f"filename, {', '.join(BIRDS)}"]
        shown = [{label} for label in range(len(BIRDS)) for _ in range(count)]
        for number, labels in enumerate([*shown, {1, 2}, set()]):
            save(root / split / f"{number}.jpg", 1000 * count + number)
            flags = [str(int(label in labels)) for label in range(len(BIRDS))]
            lines.append(f"{number}.jpg, {', '.join(flags)}")
        (root / split / "_classes.csv").write_text("\r\n".join(lines) + "\r\n", "utf-8")
    return root


def coco_instances(root: Path) -> Path:
    coco(root)
    (root / "annotations").mkdir()
    for split, name in (("train", "train2017"), ("valid", "val2017"), ("test", "test2017")):
        (root / split).rename(root / name)
        file = root / name / "_annotations.coco.json"
        file.rename(root / "annotations" / f"instances_{name}.json")
    return root


COUNTS = {"train": 7, "val": 2, "test": 2}
BOX = "0.5 0.5 0.25 0.25"


def boxed(
    root: Path, write: Callable[[Path, list[int]], None], place: str, ending: str = ""
) -> Path:
    """Write pictures with boxes: of each bird, and in every split one of two and one of none."""
    for split, count in COUNTS.items():
        shown = [[label] for label in range(len(BIRDS)) for _ in range(count)]
        for number, labels in enumerate([*shown, [1, 2], []]):
            picture = root / place.format(split=split) / f"{number}.rf.jpg"
            save(picture, 1000 * count + number)
            if labels:
                write(picture, [*labels, labels[0]])
    return root


def write_yolo(picture: Path, labels: list[int], line: str = "{label} " + BOX) -> None:
    """Write labels as YOLO: in ``labels`` where the picture is in ``images``, else beside it."""
    parts = ["labels" if part == "images" else part for part in picture.with_suffix(".txt").parts]
    file = Path(*parts)
    file.parent.mkdir(parents=True, exist_ok=True)
    text = "\r\n".join(line.format(label=label) for label in labels) + "\r\n"
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())


def yolo(root: Path) -> Path:
    boxed(root, write_yolo, "images/{split}")
    names = "".join(f"  {label}: {bird}\n" for label, bird in enumerate(BIRDS))
    text = f"path: ../set\ntrain: images/train\nval: images/val\nnc: 3\nnames:\n{names}"
    (root / "data.yaml").write_text(text, "utf-8")
    return root


def yolo_roboflow(root: Path) -> Path:
    boxed(root, write_yolo, "{split}/images")
    (root / "val").rename(root / "valid")
    names = ", ".join(f"'{bird}'" for bird in BIRDS)
    text = f"train: ../train/images\nnc: 3\nnames: [{names}]\nroboflow:\n  version: 1\n"
    (root / "data.yaml").write_text(text, "utf-8")
    return root


def yolo_segments(root: Path) -> Path:
    def write(picture: Path, labels: list[int]) -> None:
        write_yolo(picture, labels, "{label} 0.1 0.1 0.2 0.1 1e-1 0.25 0.1 0.2")

    boxed(root, write, "images/{split}2017")
    (root / "classes.txt").write_text("\ufeff" + "\r\n".join(BIRDS) + "\r\n", "utf-8")
    return root


def darknet(root: Path) -> Path:
    boxed(root, write_yolo, "{split}")
    for split in COUNTS:
        (root / split / "_darknet.labels").write_text("\n".join(BIRDS), "utf-8")
    return root


def write_voc(picture: Path, labels: list[int]) -> None:
    """Write Pascal VOC's annotations: beside a picture, or in ``Annotations``."""
    named = "".join(
        f"<object><name>{BIRDS[label]}</name><part><name>head</name></part></object>"
        for label in labels
    )
    folder = picture.parent
    folder = folder.with_name("Annotations") if folder.name == "JPEGImages" else folder
    folder.mkdir(parents=True, exist_ok=True)
    text = f"<annotation><filename>../../x.jpg</filename>{named}</annotation>"
    (folder / picture.name).with_suffix(".xml").write_text(text, "utf-8")


def voc(root: Path) -> Path:
    place = 0
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for split, count in COUNTS.items():
        names = []
        for labels in [*([label] for label in range(3) for _ in range(count)), [1, 2], []]:
            place += 1
            names.append(f"2012_{place:06d}")
            picture = save(root / "JPEGImages" / f"{names[-1]}.jpg", place)
            write_voc(picture, labels)
        (lists / f"{split}.txt").write_text("\r\n".join(names))
        (lists / f"tit_{split}.txt").write_text("".join(f"{name} -1\n" for name in names))
    (lists / "trainval.txt").write_text((lists / "train.txt").read_text())
    save(root / "JPEGImages" / "2012_999999.jpg", 999)
    return root


def voc_roboflow(root: Path) -> Path:
    return boxed(root, write_voc, "{split}")


def table(root: Path, header: str = "image_id,label", ending: str = "") -> Path:
    lines = [header]
    for label, bird in enumerate(BIRDS):
        for number in range(10):
            save(root / "train_images" / f"{bird}_{number}.jpg", 100 * label + number)
            lines.append(f'"{bird}_{number}{ending}",{bird}')
    (root / "train.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    return root


def refusal(root: Path) -> str:
    with pytest.raises(InputError) as caught:
        open_data(str(root))
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


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
    coco_by_name: (3, [[7, 7, 7], [2, 2, 2], [2, 2, 2]]),
    createml: (3, [[7, 7, 7], [2, 2, 2], [2, 2, 2]]),
    one_hot: (3, [[7, 7, 7], [2, 2, 2], [2, 2, 2]]),
    yolo: (3, [[7, 7, 7], [2, 2, 2], [2, 2, 2]]),
    yolo_roboflow: (3, [[7, 7, 7], [2, 2, 2], [2, 2, 2]]),
    yolo_segments: (3, [[7, 7, 7], [2, 2, 2], [2, 2, 2]]),
    darknet: (3, [[7, 7, 7], [2, 2, 2], [2, 2, 2]]),
    voc: (3, [[7, 7, 7], [2, 2, 2], [2, 2, 2]]),
    voc_roboflow: (3, [[7, 7, 7], [2, 2, 2], [2, 2, 2]]),
}


BOXED = (yolo, yolo_roboflow, yolo_segments, darknet, voc_roboflow)


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
    if make in (*BOXED, voc):  # which list no pictures: one that is gone was never there
        bad.write_text("<html>")
    else:
        bad.unlink()
    data = open_data(str(root))
    assert [picture.file for picture in data.reading.skipped] == [str(bad)]
    assert sum(map(sum, sizes(data))) == sum(map(sum, FORMS[make][1])) - 1
    with pytest.raises(InputError, match=r"does not exist|not a picture"):
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
    assert sizes(data)[2] == [2, 2, 2]
    assert data.reading.notes == ("splits are the folders that the listed paths begin with",)
    for split, folder in (("train", "train"), ("val", "validation"), ("test", "test")):
        assert {sample.path.parent.name for sample in data.split(split)} == {folder}


@pytest.mark.parametrize(("make", "count"), [(coco, 3), *((make, 6) for make in BOXED)])
def test_pictures_of_several_classes_are_left_out_and_counted(tmp_path: Path, make, count) -> None:
    data = open_data(str(make(tmp_path / "set")))
    assert data.reading.notes == (f"{count} pictures show no class or several: not read",)
    assert set(data.classes) == set(BIRDS)
    if make is not coco:
        for sample in data.split("train"):
            assert data.classes[sample.label] == BIRDS[int(sample.path.name.split(".")[0]) // 7]


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


@pytest.mark.parametrize("name", ["labels.csv", "train.csv"])
def test_a_table_of_the_classes_beside_split_folders(tmp_path: Path, name: str) -> None:
    root = tmp_path / "birds"
    for split, count in COUNTS.items():
        for label, bird in enumerate(BIRDS):
            for number in range(count):
                save(root / split / bird / f"{number}.jpg", 1000 * count + 10 * label + number)
    lines = [f"{label},{bird}" for label, bird in enumerate(BIRDS)]
    (root / name).write_text("\n".join(["id,label", *lines]), "utf-8")
    data = open_data(str(root))
    assert sizes(data) == [[7, 7, 7], [2, 2, 2], [2, 2, 2]]
    # Who names the list itself wants its pictures.
    with pytest.raises(InputError, match=r"the first picture of .*, '0', is not there"):
        open_data(str(root / name))


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
    [
        *(imagefolder, coco, coco_instances, cub, aircraft, cars),
        *(flowers, pets, food, textures, yolo, voc, createml, one_hot),
    ],
)
def test_damaged_lists_are_one_line(tmp_path: Path, make, content: bytes) -> None:
    root = make(tmp_path / "set")
    file = {
        imagefolder: root / "train" / "metadata.jsonl",
        coco: root / "train" / "_annotations.coco.json",
        coco_instances: root / "annotations" / "instances_train2017.json",
        createml: root / "train" / "_annotations.createml.json",
        one_hot: root / "train" / "_classes.csv",
        cub: root / "images.txt",
        aircraft: root / "data" / "images_variant_train.txt",
        cars: root / "devkit" / "cars_train_annos.mat",
        flowers: root / "setid.mat",
        pets: root / "annotations" / "trainval.txt",
        food: root / "meta" / "train.txt",
        textures: root / "labels" / "train1.txt",
        yolo: root / "data.yaml",
        voc: root / "ImageSets" / "Main" / "train.txt",
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


def test_pictures_that_voc_does_not_list_are_counted(tmp_path: Path) -> None:
    root = voc(tmp_path / "set")
    assert open_data(str(root)).reading.notes == (
        "1 pictures are in none of train.txt and val.txt and test.txt: not read",
        "6 pictures show no class or several: not read",
    )
    (root / "ImageSets" / "Main" / "train.txt").unlink()
    assert sizes(open_data(str(root)))[0] == [7, 7, 7]  # of trainval.txt


def test_a_list_of_cvat_is_split_as_it_splits_nothing(tmp_path: Path) -> None:
    root = coco(tmp_path / "set")
    (root / "annotations").mkdir()
    (root / "train" / "_annotations.coco.json").rename(
        root / "annotations" / "instances_default.json"
    )
    (root / "train").rename(root / "images")
    for split in ("valid", "test"):
        for file in (root / split).iterdir():
            file.unlink()
        (root / split).rmdir()
    data = open_data(str(root))
    assert data.classes == tuple(sorted(BIRDS))
    assert sum(map(sum, sizes(data))) == 21
    assert all(map(all, sizes(data)))


def test_groups_of_nabirds_are_no_classes(tmp_path: Path) -> None:
    root = cub(tmp_path / "set")
    names = (root / "classes.txt").read_text("utf-8-sig")
    (root / "classes.txt").write_text(f"0 Birds\n{names}999 Ducks, Geese, and Swans\n", "utf-8")
    data = open_data(str(root))
    assert (len(data.classes), sizes(data)) == FORMS[cub]
    assert data.reading.notes == ("names of classes.txt without pictures: 2, left out",)


def test_a_contest_may_call_its_table_labels(tmp_path: Path) -> None:
    """And leave the pictures to be judged without a class beside it."""
    root = table(tmp_path / "set", "id,breed")
    (root / "train.csv").rename(root / "labels.csv")
    (root / "train_images").rename(root / "train")
    save(root / "test" / "unknown.jpg", 1)
    data = open_data(str(root))
    assert data.classes == tuple(sorted(BIRDS))
    assert sum(map(sum, sizes(data))) == 30


def test_frames_of_two_cameras_may_have_one_name(tmp_path: Path) -> None:
    """Lists of YOLO name pictures by their paths, on the machine where they were written."""
    root = tmp_path / "set"
    lists: dict[str, list[str]] = {"train": [], "val": []}
    for camera, split in (("cam1", "train"), ("cam2", "val")):
        for number in range(6):
            picture = root / "images" / camera / f"frame_{number:04}.png"
            picture.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 32), (40 * number, 80, number % 2 * 200)).save(picture)
            write_yolo(picture, [number % 2])
            lists[split].append(f"/home/me/birds/images/{camera}/{picture.name}")
    (root / "data.yaml").write_text("train: train.txt\nval: val.txt\nnames: [robin, wren]\n")
    for split, paths in lists.items():
        (root / f"{split}.txt").write_text("\n".join(paths))
    data = open_data(root)
    for split, camera in (("train", "cam1"), ("val", "cam2")):
        assert {each.path.parent.name for each in data.split(split)} == {camera}
    # A name alone does not say which.
    (root / "val.txt").write_text("frame_0000.png\n" + "\n".join(lists["val"][1:]))
    skipped = open_data(root).reading.skipped
    assert ["which 2 pictures are" in each.reason for each in skipped] == [True]


def test_names_of_voc_that_are_not_there_cost_a_picture_each(tmp_path: Path) -> None:
    root = voc(tmp_path / "set")
    with (root / "ImageSets" / "Main" / "val.txt").open("a") as file:
        file.write("\n../../../etc/passwd\n/etc/passwd\n\x1b[31m\n")
    data = open_data(str(root))
    assert [picture.kind for picture in data.reading.skipped] == ["path"] * 3
    assert all("val.txt names '" in picture.reason for picture in data.reading.skipped)
    assert sizes(data)[1] == [2, 2, 2]
    with pytest.raises(InputError, match="3 of 42 pictures cannot be used, line 9 of"):
        open_data(str(root), strict=True)


@pytest.mark.parametrize(
    ("folder", "labels", "write"),
    [
        ("images", "labels", write_yolo),
        (".", ".", write_yolo),
        ("obj_train_data", "obj_train_data", write_yolo),
        ("JPEGImages", "Annotations", write_voc),
        (".", ".", write_voc),
    ],
)
def test_labels_that_no_split_has(tmp_path: Path, folder: str, labels: str, write) -> None:
    for number in range(20):
        write(save(tmp_path / "set" / folder / f"{number}.jpg", number), [number % 2])
    if write is write_yolo:
        (tmp_path / "set" / labels / "classes.txt").write_text("\n".join(BIRDS), "utf-8")
    data = open_data(str(tmp_path / "set"))
    assert sum(map(sum, sizes(data))) == 20
    assert data.reading.notes[0].startswith("split by class and file name into ")
    assert data.classes == tuple(sorted(BIRDS[:2]))


def listed_yolo(root: Path) -> Path:
    """Pictures in one folder, and lists of their paths as darknet's programs write them."""
    lists: dict[str, list[str]] = {"train": [], "valid": []}
    for number in range(12):
        write_yolo(save(root / "images" / f"{number}.rf.jpg", number), [number % 2])
        lists["train" if number < 8 else "valid"].append(f"data\\obj\\{number}.rf.jpg")
    (root / "classes.txt").write_text("\n".join(BIRDS), "utf-8")
    for name, lines in lists.items():
        (root / f"{name}.txt").write_bytes("\r\n".join(lines).encode())
    return root


def test_lists_of_yolo_split_what_no_folder_splits(tmp_path: Path) -> None:
    root = listed_yolo(tmp_path / "set")
    data = open_data(str(root))
    assert sizes(data) == [[4, 4], [2, 2], [0, 0]]
    assert data.reading.notes == ()
    assert files_of(data.split("val"))[0].name == "8.rf.jpg"
    save(root / "images" / "99.jpg", 99)
    with (root / "valid.txt").open("a") as file:
        file.write("\n../../etc/passwd")
    data = open_data(str(root))
    assert sizes(data) == [[4, 4], [2, 2], [0, 0]]
    assert data.reading.notes == ("1 pictures are in none of train.txt and valid.txt: not read",)
    assert "line 5 of " in data.reading.skipped[0].reason
    (root / "valid.txt").unlink()  # one list alone is no split
    assert open_data(str(root)).reading.notes[1].startswith("split by class and file name into ")


@pytest.mark.parametrize("make", [cub, yolo, voc])
def test_a_published_set_in_the_folder_of_an_archive(tmp_path: Path, make) -> None:
    inner = make(tmp_path / "download" / "a" / "b")
    data = open_data(str(tmp_path / "download"))
    assert (data.name, sizes(data)[2]) == ("download", [2, 2, 2])
    assert data.reading.notes[0] == f"read from {inner}"


@pytest.mark.parametrize("make", BOXED)
def test_a_split_without_labels_is_counted(tmp_path: Path, make) -> None:
    root = make(tmp_path / "set")
    for file in [*root.rglob("*.txt"), *root.rglob("*.xml")]:
        if any(part.startswith("test") for part in file.relative_to(root).parts):
            file.unlink()
    data = open_data(str(root))
    assert sizes(data)[2] == [0, 0, 0]
    assert data.reading.notes == ("12 pictures show no class or several: not read",)


def yolo_line(root: Path, line: str | bytes) -> Path:
    """Write one file of labels anew."""
    file = yolo(root) / "labels" / "train" / "0.rf.txt"
    file.write_bytes(line if isinstance(line, bytes) else line.encode())
    return file


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("3 " + BOX, "has class 3, which "),
        ("99999999999 " + BOX, "line 1 of "),
        ("9" * 5000 + " " + BOX, "line 1 of "),
        ("-1 " + BOX, "line 1 of "),
        ("0.5 " + BOX, "line 1 of "),
        ("robin " + BOX, "line 1 of "),
        ("0 0.5 0.5 0.25", "line 1 of "),
        (f"0 {BOX}\n\n0 nan 0.5 0.5 0.5", "line 3 of "),
        ("0 inf 0.5 0.5 0.5", "line 1 of "),
        ("0 0.5 0.5 0.5 \x1b[31m", "line 1 of "),
        (b"\xff\xfe0\0", "is UTF-16 text"),
        (b"\xe4", "is not text"),
        (b"\0" * 40, "line 1 of "),
        (b"0" * ((16 << 20) + 1), "has more than 16 MiB"),
    ],
)
def test_bad_labels_cost_one_picture(tmp_path: Path, line: str | bytes, reason: str) -> None:
    file = yolo_line(tmp_path / "set", line)
    data = open_data(str(tmp_path / "set"))
    (skipped,) = data.reading.skipped
    assert skipped.file == str(tmp_path / "set" / "images" / "train" / "0.rf.jpg")
    assert reason in skipped.reason
    assert str(file) in skipped.reason
    assert skipped.reason.isprintable()
    assert len(skipped.reason) < 400 + len(str(tmp_path)) * 2
    assert sizes(data)[0] == [7, 6, 7]
    with pytest.raises(InputError, match=re.escape(reason)):
        open_data(str(tmp_path / "set"), strict=True)


def test_where_most_labels_are_bad_something_else_is_wrong(tmp_path: Path) -> None:
    root = yolo(tmp_path / "set")
    for file in root.glob("labels/*/*.txt"):
        file.write_text("cat")
    with pytest.raises(InputError, match=r"36 of 39 pictures cannot be used, line 1 of .* 'cat'"):
        open_data(str(root))


@pytest.mark.parametrize(
    "text",
    [
        *("<annotation>", "", "[]", "<annotation><object/></annotation>", "<kml></kml>"),
        *("<annotation><object><name> </name></object></annotation>", "\0", "<a>" * 100_000),
        '<!DOCTYPE a [<!ENTITY e "Müller">]><annotation><object><name>&e;</name></object>'
        "</annotation>",
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation></annotation>',
        "<annotation><object><name>&#27;[31m</name></object></annotation>",
        "<annotation>" + " " * (4 << 20) + "</annotation>",
    ],
)
def test_bad_xml_costs_one_picture(tmp_path: Path, text: str) -> None:
    root = voc(tmp_path / "set")
    (root / "Annotations" / "2012_000001.xml").write_text(text, "utf-8")
    data = open_data(str(root))
    (skipped,) = data.reading.skipped
    assert skipped.file == str(root / "JPEGImages" / "2012_000001.jpg")
    assert str(root / "Annotations" / "2012_000001.xml") in skipped.reason
    assert sizes(data)[0] == [7, 6, 7]


def test_a_picture_without_annotations_shows_no_class(tmp_path: Path) -> None:
    root = voc(tmp_path / "set")
    (root / "Annotations" / "2012_000001.xml").unlink()
    os.mkfifo(root / "Annotations" / "2012_000001.xml")
    assert "7 pictures show no class or several: not read" in open_data(str(root)).reading.notes


@pytest.mark.parametrize("name", ["a\u202eb", "&#10;".join("ab"), "x" * 2000, "../a", "/a"])
def test_names_of_boxes_that_cannot_be_labels(tmp_path: Path, name: str) -> None:
    root = voc(tmp_path / "set")
    file = root / "Annotations" / "2012_000001.xml"
    file.write_text(f"<annotation><object><name>{name}</name></object></annotation>", "utf-8")
    with pytest.raises(InputError) as caught:
        open_data(str(root))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "names",
    [
        *("names: birds.names", "names: {a: b}", "names: [[a], [b], [c]]", "names: {-1: a}"),
        *("names: &n [a]\nb: *n", "names: !!python/object:x {}", "[a, b]", "names: {0: a, 0: b}"),
        *("names: [", "names:\n" + "  - a\n" * (1 << 18), "names: " + "[" * 1000, "\0", "a"),
        *("names: {99999999999: a}", "names: {0: a, 00: b}", "names: {1.5: a}"),
    ],
)
def test_names_that_make_no_classes(tmp_path: Path, names: str) -> None:
    file = yolo(tmp_path / "set") / "data.yaml"
    file.write_text(names)
    assert refusal(tmp_path / "set").removeprefix("names of ").startswith(f"{file} ")


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ("[]", "has class 0, which "),
        ("{9: a}", "has class 0, which "),
        ("['', a, b]", "set has a class '' that is blank"),
    ],
)
def test_names_that_the_labels_do_not_have(tmp_path: Path, names: str, reason: str) -> None:
    root = yolo(tmp_path / "set")
    (root / "data.yaml").write_text(f"names: {names}")
    assert reason in refusal(root)


@pytest.mark.parametrize(
    "text", ["names: [no, 1.0, ~]", "names: {0: no, 1: 1.0, 2: ~}", "names: {1: 1.0, 0: no, 2: ~}"]
)
def test_names_are_taken_as_they_are_written(tmp_path: Path, text: str) -> None:
    root = yolo(tmp_path / "set")
    (root / "data.yaml").rename(root / "birds.yml")
    (root / "birds.yml").write_text(text)
    (root / "data.yaml").write_text("train: images/train")  # names no classes
    data = open_data(str(root))
    assert data.classes == ("1.0", "no", "~")


CUT = (
    "; expected pictures of one class each, of two classes or more; cut out what is in each box "
    "and save it as <class>/<image>"
)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        *((make, "a YOLO detection data set") for make in (yolo, yolo_roboflow, darknet)),
        (voc_roboflow, "a Pascal VOC detection data set"),
    ],
)
def test_detection_sets_without_pictures_of_one_class(tmp_path: Path, make, kind: str) -> None:
    root = make(tmp_path / "set")
    write = write_voc if make is voc_roboflow else write_yolo
    for picture in root.rglob("*.jpg"):
        write(picture, [0, 1])
    assert refusal(root) == f"{root} is {kind}, and none of its 39 pictures is of one class{CUT}"
    for picture in root.rglob("*.jpg"):
        write(picture, [2])
    found = "its 39 pictures of one class all show 'Crested Auklet'"
    assert refusal(root) == f"{root} is {kind}, and {found}{CUT}"


def test_a_coco_detection_set_is_called_so(tmp_path: Path) -> None:
    root = coco(tmp_path / "set")
    for file in root.rglob("*.json"):
        content = json.loads(file.read_text())
        file.write_text(json.dumps({**content, "annotations": []}))
    found = "a COCO detection data set, and none of its 36 pictures is of one class"
    assert refusal(root) == f"{root} is {found}{CUT}"


@pytest.mark.parametrize("make", [yolo, yolo_roboflow])
def test_a_yolo_set_without_labels(tmp_path: Path, make) -> None:
    root = make(tmp_path / "set")
    for file in root.rglob("*.txt"):
        file.unlink()
    found = f"{root} is a YOLO detection data set, and no picture has a file of labels"
    assert refusal(root) == found + CUT
    for folder in [*root.rglob("labels/*"), *root.rglob("labels")]:
        folder.rmdir()
    assert refusal(root) == found + CUT


def test_a_voc_set_without_annotations(tmp_path: Path) -> None:
    root = voc(tmp_path / "set")
    for file in root.rglob("*.xml"):
        file.unlink()
    found = f"{root} is a Pascal VOC detection data set, and no picture has a file of annotations"
    assert refusal(root) == found + CUT


@pytest.mark.parametrize("make", [yolo, yolo_roboflow])
def test_a_yolo_set_without_names(tmp_path: Path, make) -> None:
    root = make(tmp_path / "set")
    (root / "data.yaml").unlink()
    assert refusal(root) == (
        f"{root} is a YOLO detection data set, and no file names its classes; expected names in "
        "data.yaml, or classes.txt; write classes.txt, a name a line, that of class 0 first"
    )


def test_a_class_that_no_picture_shows_alone_is_named(tmp_path: Path) -> None:
    root = yolo(tmp_path / "set")
    for file in root.glob("labels/*/*.txt"):
        if file.read_text("utf-8-sig")[0] == "2":
            file.write_text(f"1 {BOX}\n2 {BOX}")
    assert open_data(str(root)).reading.notes == (
        "17 pictures show no class or several: not read",
        "no picture shows one of 1 classes alone: Crested Auklet",
    )


@pytest.mark.parametrize("folder", [".", "train"])
def test_class_folders_of_any_name_stay_class_folders(tmp_path: Path, folder: str) -> None:
    names = ("Annotations", "images", "labels")
    for label, name in enumerate(names):
        for number in range(8):
            save(tmp_path / "set" / folder / name / f"{number}.jpg", number + 10 * label)
    (tmp_path / "set" / folder / "images" / "notes.txt").write_text("seen in May")
    assert open_data(str(tmp_path / "set")).classes == names


def test_captions_beside_pictures_are_no_boxes(tmp_path: Path) -> None:
    for number in range(8):
        for split in ("train", "test"):
            for bird in BIRDS[:2]:
                save(tmp_path / "set" / split / bird / f"{number}.jpg", number + 10 * len(bird))
            picture = save(tmp_path / "set" / split / f"{number}.jpg", 0)
            picture.with_suffix(".txt").write_text("a bird on a branch")
    assert set(open_data(str(tmp_path / "set")).classes) == set(BIRDS[:2])
