from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from longtailed import rows_of, write_lists
from PIL import Image

from edge_fgir.data import check_data

pytestmark = pytest.mark.unit


@pytest.fixture
def birds(tmp_path) -> Path:
    """Two classes, 10, 3 and 3 pictures of each in train, val and test, no two alike."""
    random = np.random.default_rng(0)
    for split, count in (("train", 10), ("val", 3), ("test", 3)):
        for name in ("robin", "tit"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(count):
                small = Image.fromarray(random.integers(0, 256, (9, 9, 3), np.uint8))
                large = small.resize((90, 80), Image.Resampling.BICUBIC)
                large.save(tmp_path / split / name / f"{number}.png")
    return tmp_path


def problems(source: Path | str, **options) -> list[tuple[str, str]]:
    found = check_data(str(source), **{"min_images": 16, **options})
    return [(problem.kind, problem.message) for problem in found.problems]


def test_nothing_wrong(birds) -> None:
    assert problems(birds) == []


def test_a_picture_in_two_splits_is_found_in_other_clothes(birds) -> None:
    with Image.open(birds / "train" / "tit" / "4.png") as image:
        image.resize((64, 50)).save(birds / "test" / "tit" / "copy.jpg", quality=70)
    (found,) = check_data(str(birds), min_images=0).problems
    assert (found.kind, found.message) == (
        "duplicate",
        "tit/copy.jpg of test looks like tit/4.png of train",
    )
    assert found.files == (str(birds / "test/tit/copy.jpg"), str(birds / "train/tit/4.png"))
    assert problems(birds, distance=0) == []


def test_a_duplicate_of_another_class_says_so(birds) -> None:
    shutil.copy(birds / "train" / "tit" / "4.png", birds / "val" / "robin" / "x.png")
    assert problems(birds) == [
        ("duplicate", "robin/x.png of val looks like tit/4.png of train, and is robin, not tit")
    ]


def test_a_picture_twice_in_one_split_is_no_leak(birds) -> None:
    shutil.copy(birds / "train" / "tit" / "4.png", birds / "train" / "tit" / "x.png")
    assert problems(birds) == []


def test_unreadable_files_are_all_named(birds) -> None:
    (birds / "train" / "robin" / "1.png").write_text("no picture")
    path = birds / "test" / "tit" / "0.png"
    path.write_bytes(path.read_bytes()[:200])
    Image.new("CMYK", (20, 20)).save(birds / "val" / "tit" / "ink.jpg")
    found = check_data(str(birds), min_images=0, strict=True).problems
    assert [Path(one.files[0]).name for one in found] == ["1.png", "ink.jpg", "0.png"]
    assert {one.kind for one in found} == {"unreadable"}
    assert len(check_data(str(birds), min_images=0).problems) == 2


def test_damage_in_the_middle_is_found(birds) -> None:
    path = birds / "train" / "tit" / "0.png"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert [kind for kind, _ in problems(birds)] == ["unreadable"]


def test_small_and_absent_classes(birds) -> None:
    assert problems(birds, min_images=17) == [
        ("class", f"class {name} has 16 pictures in all splits, fewer than 17")
        for name in ("robin", "tit")
    ]
    shutil.rmtree(birds / "val" / "tit")
    assert problems(birds, min_images=0) == [("class", "class tit has no picture in val")]


def test_wrong_paths_of_lists_are_all_named(tmp_path: Path) -> None:
    train, test = rows_of([9, 9]), rows_of([5, 5], 9000)
    root = write_lists(tmp_path / "girls", {"train": train, "test": test})
    for _, name in (train[0], train[12], test[3]):
        (root / "faces" / name).unlink()
    found = problems(root, min_images=0)
    assert [kind for kind, _ in found] == ["path"] * 3
    assert [message.split(" names ")[0].split(" of ")[0] for _, message in found] == [
        "line 1",
        "line 13",
        "line 4",
    ]


def test_shards_and_built_in_sets_too(birds, tmp_path_factory: pytest.TempPathFactory) -> None:
    pytest.importorskip("webdataset")
    from edge_fgir.data import open_data, pack

    shutil.copy(birds / "train" / "tit" / "4.png", birds / "test" / "tit" / "x.png")
    shards = tmp_path_factory.mktemp("packed") / "shards"
    pack(open_data(str(birds)), shards, 20_000)
    (found,) = problems(shards)
    assert found[0] == "duplicate"
