"""webdataset shards: packing, opening, reading, what is refused, and the order of an epoch."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge_fgir import InputError
from edge_fgir._errors import MissingExtraError
from edge_fgir.data import (
    DataSet,
    Sample,
    draw_by_class,
    files_of,
    labels_of,
    open_data,
    pack,
    prepared_images,
    shard_index,
    shard_order,
)
from edge_fgir.data.shard_index import INDEX
from edge_fgir.runtime import Preprocess, check_image

pytestmark = pytest.mark.unit

SHARD_BYTES = 30_000
CLASSES = ("robin", "tit", "wren")


@pytest.fixture(scope="session")
def packed(photos, tmp_path_factory) -> Path:
    """The generated photographs as shards; copy them to change them."""
    pytest.importorskip("webdataset")
    out = tmp_path_factory.mktemp("packed") / "leaves"
    pack(open_data(str(photos)), out, SHARD_BYTES)
    return out


@pytest.fixture
def own(packed, tmp_path) -> Path:
    return shutil.copytree(packed, tmp_path / "own")


def picture(shade: int = 0, kind: str = "PNG", side: int = 12) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (shade, 100, 20)).save(buffer, kind)
    return buffer.getvalue()


def write_tar(path: Path, files: Iterable[tuple[str | tarfile.TarInfo, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in files:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def samples(labels: Iterable[object], first: int = 0) -> list[tuple[str, bytes]]:
    found = []
    for number, label in enumerate(labels, first):
        found += [
            (f"{number:04d}.png", picture(number)),
            (f"{number:04d}.cls", str(label).encode()),
        ]
    return found


@pytest.fixture
def birds(tmp_path) -> Path:
    """Hand-written shards: two for train, one each for val and test."""
    root = tmp_path / "birds"
    write_tar(root / "train-0.tar", samples([0, 1, 2, 0]))
    write_tar(root / "train-1.tar", samples([1, 2], first=4))
    write_tar(root / "val-0.tar", samples([0, 1]))
    write_tar(root / "test-0.tar", samples([2]))
    (root / "labels.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    return root


def refusal(root: Path) -> str:
    with pytest.raises(InputError) as caught:
        open_data(str(root), strict=True)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert not (root / INDEX).exists()
    return text


# Opening.


def test_classes_labels_and_order_are_those_of_the_shards(birds) -> None:
    data = open_data(str(birds))
    assert (data.name, data.classes) == ("birds", CLASSES)
    assert labels_of(data.split("train")).tolist() == [0, 1, 2, 0, 1, 2]
    assert [sample.label for sample in data.split("train")] == [0, 1, 2, 0, 1, 2]
    assert data.counts("train") == [2, 2, 2]
    assert data.shard_sizes == {"train": (4, 2), "val": (2,), "test": (1,)}
    assert files_of(data.split("train")) == [birds / "train-0.tar", birds / "train-1.tar"]


def test_a_sample_is_named_by_its_shard_and_read_from_it(birds) -> None:
    data = open_data(str(birds))
    sample = data.split("train")[5]
    assert sample.path == birds / "train-1.tar" / "0005.png"
    assert sample.file == birds / "train-1.tar"
    assert sample.read_bytes() == picture(5)
    assert sample.size == len(picture(5))
    assert (data.read(sample) == (5, 100, 20)).all()


def test_shards_may_lie_in_folders_of_splits(birds) -> None:
    before = open_data(str(birds))
    (birds / "train").mkdir()
    for tar in birds.glob("train-*.tar"):
        tar.rename(birds / "train" / tar.name)
    after = open_data(str(birds))
    assert [s.path.name for s in after.split("train")] == [
        s.path.name for s in before.split("train")
    ]
    assert after.info == before.info
    (birds / "train" / "robin").mkdir()
    assert "class folder" in refusal_of_folders(birds)


def refusal_of_folders(root: Path) -> str:
    with pytest.raises(InputError) as caught:
        open_data(str(root))
    return str(caught.value)


def test_samples_are_a_sequence(birds) -> None:
    train = open_data(str(birds)).split("train")
    assert list(train) == [train[i] for i in range(6)]
    assert train[-1] == train[5]
    assert list(train[4:0:-2]) == [train[4], train[2]]
    assert labels_of(train[1:3]).tolist() == [1, 2]
    for outside in (6, -7):
        with pytest.raises(IndexError):
            train[outside]
    assert list(pickle.loads(pickle.dumps(train))) == list(train)


def test_labels_may_be_names_and_files_of_any_kind(birds) -> None:
    write_tar(
        birds / "train-0.tar",
        [
            ("README.md", b"birds"),
            ("a/x.y/1.JPG", picture(7, "JPEG")),
            ("a/x.y/1.cls", b" tit\n"),
            ("a/x.y/1.json", b"{}"),
            ("._b.png", b"not a picture"),
            ("__meta__/info.png", b"not a picture"),
            ("b.webp", picture(8, "WEBP")),
            ("b.cls", b"0"),
        ],
    )
    data = open_data(str(birds))
    first, second, *_ = data.split("train")
    assert (first.path, first.label) == (birds / "train-0.tar" / "a/x.y/1.JPG", 1)
    assert (second.path.name, second.label) == ("b.webp", 0)
    assert first.read_bytes() == picture(7, "JPEG")


def test_long_names_and_names_of_any_script(birds) -> None:
    files = [(name + ending, content) for name in ("x" * 300, "雀") for ending, content in
             ((".png", picture()), (".cls", b"0"))]  # fmt: skip
    write_tar(birds / "train-0.tar", files)
    train = open_data(str(birds)).split("train")
    assert [s.path.name for s in train[:2]] == ["x" * 300 + ".png", "雀.png"]
    assert train[1].read_bytes() == picture()


def test_without_val_a_tenth_of_train_is_set_aside(birds) -> None:
    (birds / "val-0.tar").unlink()
    write_tar(birds / "train-0.tar", samples([0] * 20))
    write_tar(birds / "train-1.tar", samples([1] * 10, first=20))
    data = open_data(str(birds))
    assert (data.counts("train"), data.counts("val")) == ([18, 9, 0], [2, 1, 0])
    assert data.shard_sizes["train"] == (18, 9)
    train, val = ({s.path.name for s in data.split(split)} for split in ("train", "val"))
    assert not train & val
    assert len(train | val) == 30
    assert all((data.read(s)[0, 0, 0] == int(s.path.stem)) for s in data.split("val"))


def test_what_exists_for_folders_works_on_shards(birds) -> None:
    data = open_data(str(birds))
    images = prepared_images(data, data.split("train"), Preprocess(size=16))
    assert images[:, 8, 8, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert sorted(s.label for s in draw_by_class(data.split("train"), 3)) == [0, 1, 2]
    plain = DataSet(data.name, data.licence, data.classes, {k: tuple(v) for k, v in
                    data.splits.items()})  # fmt: skip
    assert plain.info == data.info
    assert plain.shard_sizes == {}
    assert draw_by_class(plain.split("train"), 4) == draw_by_class(data.split("train"), 4)
    assert files_of(plain.split("train")) == files_of(data.split("train"))


def test_webdataset_reads_the_same_samples(packed) -> None:
    library = pytest.importorskip("webdataset").tariterators
    train = open_data(str(packed)).split("train")
    with ExitStack() as files:  # left to itself, the library leaves them open
        opened = [
            {"url": str(tar), "stream": files.enter_context(tar.open("rb"))}
            for tar in files_of(train)
        ]
        theirs = list(library.group_by_keys(library.tar_file_expander(opened)))
    assert len(theirs) == len(train) == 72
    for sample, other in zip(train, theirs, strict=True):
        assert sample.path == Path(other["__url__"]) / (other["__key__"] + ".png")
        assert sample.label == int(other["cls"])
        assert sample.read_bytes() == other["png"]


# The index.


@pytest.fixture
def scanned(monkeypatch) -> list[str]:
    """Names of the shards that were read through, as they are."""
    names: list[str] = []
    real = shard_index._scan

    def scan(label_of, convert, tar):
        names.append(tar.name)
        return real(label_of, convert, tar)

    monkeypatch.setattr(shard_index, "_scan", scan)
    return names


def test_shards_are_read_through_once(birds, scanned) -> None:
    before = open_data(str(birds))
    assert sorted(scanned) == ["test-0.tar", "train-0.tar", "train-1.tar", "val-0.tar"]
    scanned.clear()
    again = open_data(str(birds))
    assert scanned == []
    assert again.info == before.info
    assert list(again.split("train")) == list(before.split("train"))


def test_only_a_changed_shard_is_read_again(birds, scanned) -> None:
    open_data(str(birds))
    scanned.clear()
    write_tar(birds / "train-1.tar", samples([0, 0, 1], first=4))
    assert open_data(str(birds)).counts("train") == [4, 2, 1]
    assert scanned == ["train-1.tar"]
    scanned.clear()
    os.utime(birds / "val-0.tar", ns=(1, 1))
    open_data(str(birds))
    assert scanned == ["val-0.tar"]
    scanned.clear()
    (birds / "train-0.tar").unlink()
    assert open_data(str(birds)).counts("train") == [2, 1, 0]
    open_data(str(birds))
    assert scanned == []


def test_an_index_of_other_classes_or_of_a_laxer_check_is_not_used(birds, scanned) -> None:
    open_data(str(birds), strict=True)
    scanned.clear()
    open_data(str(birds))
    assert scanned == []
    (birds / "labels.txt").write_text("tit\nrobin\nwren\n")
    open_data(str(birds))
    assert len(scanned) == 4
    scanned.clear()
    open_data(str(birds), strict=True)
    assert len(scanned) == 4


def test_what_was_left_out_is_looked_at_again(birds, scanned, monkeypatch) -> None:
    """A library that reads it may have been installed."""

    def refuse(path: Path, **options: Any) -> None:
        if path == birds / "val-0.tar" / "0001.png":
            raise InputError("a format that Pillow reads with a plug-in", "pillow-heif")
        check_image(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(shard_index, "check_image", refuse)
        data = open_data(str(birds))
        assert [Path(one.file).name for one in data.reading.skipped] == ["0001.png"]
        assert data.counts("val") == [1, 0, 0]
    scanned.clear()
    data = open_data(str(birds))
    assert scanned == ["val-0.tar"]
    assert data.reading.skipped == ()
    assert data.counts("val") == [1, 1, 0]
    for split, numbers in (("train", range(6)), ("val", range(2)), ("test", range(1))):
        read = [sample.read_bytes() for sample in data.split(split)]
        assert read == [picture(number) for number in numbers]
    scanned.clear()
    open_data(str(birds))
    assert scanned == []


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nonsense", pickle.dumps([1])])
def test_a_damaged_index_is_made_again(birds, scanned, content) -> None:
    before = open_data(str(birds)).info
    good = (birds / INDEX).read_bytes()
    scanned.clear()
    (birds / INDEX).write_bytes(content)
    assert open_data(str(birds)).info == before
    assert len(scanned) == 4
    assert (birds / INDEX).read_bytes() == good


@pytest.mark.parametrize(
    ("column", "value"), [("offsets", 1 << 40), ("sizes", -1), ("labels", 3), ("lengths", 1 << 40)]
)
def test_an_index_that_points_outside_is_not_used(birds, scanned, column, value) -> None:
    before = list(open_data(str(birds)).split("train"))
    scanned.clear()
    with np.load(birds / INDEX) as archive:
        arrays = dict(archive)
    arrays[column][0] = value
    np.savez(birds / INDEX, **arrays)
    assert list(open_data(str(birds)).split("train")) == before
    assert len(scanned) == 4


def test_a_folder_that_cannot_be_written_is_indexed_in_memory(
    birds, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path, data):
        raise PermissionError(13, "read-only", str(path))

    monkeypatch.setattr(shard_index, "write_atomic", refuse)
    assert open_data(str(birds)).counts("train") == [2, 2, 2]
    assert not (birds / INDEX).exists()


# Reading from many places.


def test_reading_leaves_no_file_open(packed) -> None:
    data = open_data(str(packed))
    train = data.split("train")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: data.read(train[i % len(train)]).sum(), range(288)))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert found[:72] == [data.read(sample).sum() for sample in train]


def test_a_shard_that_changes_while_in_use(own) -> None:
    sample = open_data(str(own)).split("train")[-1]
    content = sample.file.read_bytes()
    sample.file.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"train-.*\.tar was cut while in use; expected "):
        sample.read_bytes()
    sample.file.unlink()
    with pytest.raises(InputError, match=r"train-.*\.tar is gone; expected "):
        sample.read_bytes()


@pytest.mark.parametrize("workers", [0, 2])
def test_training_sees_the_pixels_of_the_folder(photos, packed, workers) -> None:
    torch = pytest.importorskip("torch")
    from edge_fgir.data.loaders import TrainImages

    folder, shards = open_data(str(photos)), open_data(str(packed))
    order = np.random.default_rng(0).permutation(72).tolist()
    options = {"size": 32, "resize": 38, "trivial_augment": True, "seed": 3}
    kept = TrainImages(folder, [folder.split("train")[i] for i in order], **options)
    read = TrainImages(shards, shards.split("train"), **options)
    read._cache = None
    keys = [(epoch, index) for epoch in (0, 5) for index in range(0, 72, 7)]
    loader = torch.utils.data.DataLoader(read, sampler=keys, batch_size=None, num_workers=workers)
    for key, found in zip(keys, loader, strict=True):
        wanted = kept[key]
        assert torch.equal(found[0], wanted[0])
        assert found[1] == wanted[1]


# Packing.


def test_packing_keeps_every_file_and_its_class(photos, packed) -> None:
    folder, shards = open_data(str(photos)), open_data(str(packed))
    assert (shards.name, shards.classes, shards.licence) == (
        folder.name,
        folder.classes,
        folder.licence,
    )
    for split in ("train", "val", "test"):
        assert shards.counts(split) == folder.counts(split)
        there, here = (
            sorted((s.label, s.read_bytes()) for s in data.split(split))
            for data in (folder, shards)
        )
        assert there == here


def test_every_shard_is_a_mix_of_classes_of_about_the_size_asked_for(packed) -> None:
    data = open_data(str(packed))
    tars = files_of(data.split("train"))
    assert len(tars) > 5
    assert all(tar.stat().st_size < 2 * SHARD_BYTES for tar in tars)
    ends = np.cumsum(data.shard_sizes["train"])
    labels = labels_of(data.split("train"))
    assert all(len(set(part)) > 1 for part in np.split(labels, ends[:-1]))


def test_the_same_data_gives_the_same_bytes(photos, packed, tmp_path: Path) -> None:
    again = tmp_path / "100%d again"
    pack(open_data(str(photos)), again, SHARD_BYTES)
    names = {path.name for path in packed.iterdir()} - {INDEX}
    assert {path.name for path in again.iterdir()} == names
    for name in names:
        assert (again / name).read_bytes() == (packed / name).read_bytes(), name


def test_names_of_any_kind_can_be_packed(make_folder, tmp_path: Path) -> None:
    pytest.importorskip("webdataset")
    root = make_folder(tmp_path / "odd", ("b.c", "雀"))
    odd = root / "train" / "雀"
    (odd / "0.png").rename(odd / "a.b.PNG")
    (odd / "1.png").rename(odd / ("x" * 200 + ".png"))
    (odd / "2.png").rename(odd / "m\udcfcnchen.png")
    (odd / "3.png").rename(odd / "__a__.png")
    pack(open_data(str(root)), tmp_path / "out", 1 << 20)
    shards = open_data(str(tmp_path / "out"))
    assert shards.classes == ("b.c", "雀")
    assert shards.counts("train") == [8, 8]


def test_pictures_are_packed_with_the_ending_of_their_format(make_folder, tmp_path: Path) -> None:
    pytest.importorskip("webdataset")
    root = make_folder(tmp_path / "odd", ("cats", "dogs"))
    cats = root / "train" / "cats"
    for name, kind in (("IMG001", "JPEG"), ("a.jpg_large", "JPEG"), ("b.orig2", "WEBP")):
        (cats / name).write_bytes(picture(7, kind))
    before = open_data(str(root))
    pack(before, tmp_path / "out", 1 << 20)
    shards = open_data(str(tmp_path / "out"))
    assert shards.counts("train") == before.counts("train")
    names = [sample.path.name.partition("_")[2] for sample in shards.split("train")]
    assert {"IMG001.jpg", "a.jpg", "b.webp"} < set(names)


def test_a_picture_that_does_not_say_what_it_is_cannot_be_packed(photos, tmp_path: Path) -> None:
    """A list may name it, and Pillow read it: a reader of the shards would pass it over."""
    pytest.importorskip("webdataset")
    data, odd = open_data(str(photos)), tmp_path / "a.bitmap"
    odd.write_bytes(picture(7, "BMP"))
    named = DataSet(data.name, data.licence, data.classes, {"train": (Sample(odd, 0),)})
    with pytest.raises(InputError, match=r"a\.bitmap has no ending of a picture file; .*rename it"):
        pack(named, tmp_path / "out", SHARD_BYTES)
    assert not (tmp_path / "out").exists()


def test_shards_can_be_packed_anew(packed, tmp_path: Path) -> None:
    pack(open_data(str(packed)), tmp_path / "big", 1 << 30)
    data = open_data(str(tmp_path / "big"))
    assert data.shard_sizes["train"] == (72,)
    assert data.counts("train") == [24, 24, 24]


def test_an_interrupted_pack_leaves_nothing(photos, tmp_path: Path) -> None:
    pytest.importorskip("webdataset")
    data = open_data(str(photos))
    broken = DataSet(data.name, data.licence, data.classes, {**data.splits, "val": [Gone()]})
    with pytest.raises(KeyboardInterrupt):
        pack(broken, tmp_path / "out", SHARD_BYTES)
    assert list(tmp_path.iterdir()) == []


class Gone:
    """A sample during whose reading the user presses Ctrl-C."""

    path = Path("gone.png")
    label = 0

    def read_bytes(self) -> bytes:
        raise KeyboardInterrupt


def test_pack_leaves_other_things_alone(photos, packed, own, tmp_path: Path) -> None:
    data = open_data(str(photos))
    (tmp_path / "file").write_text("precious")
    for out in (own, tmp_path / "file"):
        with pytest.raises(InputError, match=r"exists; expected a new folder; choose another"):
            pack(data, out, SHARD_BYTES)
    assert open_data(str(own)).info == open_data(str(packed)).info
    (tmp_path / "empty").mkdir()
    pack(data, tmp_path / "empty", SHARD_BYTES)
    assert open_data(str(tmp_path / "empty")).info == open_data(str(packed)).info


def test_packing_names_the_library_it_lacks(
    photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "webdataset", None)
    with pytest.raises(MissingExtraError, match=r"webdataset is not installed; .*edge-fgir\[train"):
        pack(open_data(str(photos)), tmp_path / "out", SHARD_BYTES)
    assert list(tmp_path.iterdir()) == []


def test_reading_needs_neither_webdataset_nor_torch(packed) -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['webdataset', 'torch']))\n"
        "from edge_fgir.data import open_data\n"
        f"data = open_data({str(packed)!r})\n"
        "print(data.read(data.split('train')[0]).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "(48, 48, 3)\n"


# What is refused.


def test_a_missing_list_of_classes(birds) -> None:
    (birds / "labels.txt").unlink()
    assert refusal(birds) == (
        f"{birds} holds shards and no labels.txt; expected class names, a line each, in the order "
        f"of the labels; write {birds / 'labels.txt'}"
    )


@pytest.mark.parametrize("text", ["", "robin\n", "robin\n\ntit\n", "robin\ntit\nrobin\n"])
def test_a_wrong_list_of_classes(birds, text) -> None:
    (birds / "labels.txt").write_text(text)
    assert refusal(birds).startswith(f"{birds / 'labels.txt'} has ")


def test_a_list_of_classes_that_is_no_text(birds) -> None:
    (birds / "labels.txt").write_bytes(b"M\xfcnchen\nBerlin\n")
    assert refusal(birds).startswith(f"{birds / 'labels.txt'} is not text (")


def test_a_tar_cut_anywhere(birds) -> None:
    tar = birds / "train-1.tar"
    whole = tar.read_bytes()
    with tarfile.open(tar) as archive:
        end = archive.getmembers()[-1].offset_data + tarfile.BLOCKSIZE
    for length in range(0, end + 1, 256):
        tar.write_bytes(whole[:length])
        text = refusal(birds)
        assert text.startswith(f"{tar} is damaged or cut ("), length
        assert text.endswith("; expected a whole, uncompressed tar; copy it again")


def test_a_compressed_tar_and_no_tar(birds) -> None:
    tar = birds / "train-1.tar"
    for content in (gzip.compress(tar.read_bytes()), b"<html>404</html>" * 100):
        tar.write_bytes(content)
        assert refusal(birds).startswith(f"{tar} is damaged or cut (")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("damaged")


@given(place=st.integers(0, 511), value=st.integers(0, 255), block=st.integers(0, 7))
def test_a_damaged_header_ends_in_one_line(folder, place, value, block) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in samples([0, 1]):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    damaged = bytearray(content.getvalue())
    damaged[512 * block + place] = value
    tar = folder / "damaged.tar"
    tar.write_bytes(damaged)
    try:
        found = shard_index._scan({"a": 0, "b": 1}, False, tar)
    except InputError:
        pass  # and no other error
    else:
        assert found.fits(len(damaged), 2)


def test_a_negative_size_does_not_hang(birds) -> None:
    tar = birds / "train-1.tar"
    content = bytearray(tar.read_bytes())
    header = content[:512]
    header[124:136] = b"\xff" * 10 + b"\xfc\x00"  # -1024 in base 256
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    tar.write_bytes(content[:2048] + header + content[2048:])
    assert refusal(birds).startswith(f"{tar} is damaged or cut (")


BAD = {
    "no label": (
        [("a.png", picture())],
        "{tar}/a.cls is not there; expected a label beside each picture",
    ),
    "no picture": ([("a.cls", b"0")], "sample {tar}/a has 0 pictures; expected one, such as .jpg"),
    "two pictures": (
        [("a.png", picture()), ("a.jpg", picture()), ("a.cls", b"0")],
        "sample {tar}/a has 2 pictures; expected one, such as .jpg",
    ),
    "name": (
        [("a.png", picture()), ("a.cls", b"eagle")],
        "{tar}/a.cls says 'eagle'; expected a name in labels.txt, or the number of its line",
    ),
    "label": (
        [("a.png", picture()), ("a.cls", b"3")],
        "{tar}/a.cls says 3; expected 0 to 2, or a name in labels.txt",
    ),
    "negative": (
        [("a.png", picture()), ("a.cls", b"-1")],
        "{tar}/a.cls says -1; expected 0 to 2, or a name in labels.txt",
    ),
    "empty": ([("a.png", picture()), ("a.cls", b"")], "{tar}/a.cls says ''; expected a name"),
    "bytes": ([("a.png", picture()), ("a.cls", b"\xff\0")], "{tar}/a.cls says '"),
    "book": (
        [("a.png", picture()), ("a.cls", b"0" * 2000)],
        "{tar}/a.cls has 2000 bytes; expected a label beside each picture",
    ),
    "key twice": (
        samples([0, 1]) + samples([0]),
        "{tar} holds the key 0000 twice; expected the files of a sample side by side, "
        "and each key once; pack the tar again with its files sorted by name",
    ),
    "file twice": (
        [("a.png", picture()), ("a.PNG", picture()), ("a.cls", b"0")],
        "{tar} holds a.PNG twice; expected each file once",
    ),
    "sorted by kind": (
        [("a.cls", b"0"), ("b.cls", b"0"), ("a.png", picture()), ("b.png", picture())],
        "sample {tar}/a has 0 pictures",
    ),
    "nothing": ([], "{tar} holds no samples; expected key.jpg and key.cls files; remove it"),
    "other files": ([("README.md", b"birds")], "{tar} holds no samples"),
    "above": (
        [("../a.png", picture()), ("../a.cls", b"0")],
        "{tar} holds a file called ../a.png; expected names inside the tar",
    ),
    "absolute": (
        [("/etc/a.png", picture()), ("/etc/a.cls", b"0")],
        "{tar} holds a file called /etc/a.png; expected names inside the tar",
    ),
    "text": (
        [("a.png", b"no picture"), ("a.cls", b"0")],
        "{tar}/a.png is not a picture Pillow can read; expected JPEG",
    ),
    "cut picture": (
        [("a.png", picture(side=64)[:60]), ("a.cls", b"0")],
        "{tar}/a.png is broken or truncated (",
    ),
    "many": (
        [("a.png", b"no"), ("a.cls", b"0"), ("b.png", b"no"), ("b.cls", b"0"), *samples([0])],
        "2 of 10 pictures cannot be used, {tar}/a.png is not a picture Pillow can read; ",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_shards_are_refused_in_one_line(birds, name) -> None:
    files, wanted = BAD[name]
    tar = write_tar(birds / "train-1.tar", files)
    assert refusal(birds).startswith(wanted.format(tar=tar))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_are_no_pictures(birds, kind) -> None:
    link = tarfile.TarInfo("a.png")
    link.type, link.linkname = kind, "/etc/passwd"
    tar = write_tar(birds / "train-1.tar", [(link, b""), *samples([0])])
    assert len(open_data(str(birds)).split("train")) == 5
    write_tar(tar, [(link, b""), ("a.cls", b"0")])
    (birds / INDEX).unlink()
    assert refusal(birds).startswith(f"sample {tar}/a has 0 pictures")


def test_odd_pictures_are_refused_or_converted(birds) -> None:
    buffer = io.BytesIO()
    Image.new("RGBA", (10, 10), (0, 0, 0, 0)).save(buffer, "PNG")
    write_tar(birds / "val-0.tar", [("a.png", buffer.getvalue()), ("a.cls", b"0")])
    assert refusal(birds).startswith(f"{birds}/val-0.tar/a.png is an image with transparency")
    data = open_data(str(birds))
    assert (data.read(data.split("val")[0]) == 255).all()


def test_texts_of_windows_editors_are_read(birds) -> None:
    classes = open_data(str(birds)).classes
    labels = birds / "labels.txt"
    lines = labels.read_text("utf-8").splitlines()
    labels.write_bytes(b"\xef\xbb\xbf" + "".join(f"{line}\r\n" for line in lines).encode())
    named = b"\xef\xbb\xbf" + classes[1].encode() + b"\r\n"
    buffer = io.BytesIO()
    Image.new("RGB", (10, 10)).save(buffer, "PNG")
    write_tar(birds / "val-0.tar", [("a.png", buffer.getvalue()), ("a.cls", named)])
    data = open_data(str(birds))
    assert data.classes == classes
    assert [sample.label for sample in data.split("val")] == [1]


def test_one_bad_picture_of_a_shard_costs_one_picture(birds) -> None:
    whole = len(open_data(str(birds)).split("train"))
    write_tar(birds / "val-0.tar", [("a.png", b"no picture"), ("a.cls", b"0")])
    for _ in range(2):  # from the tars, and with the index of the others
        data = open_data(str(birds))
        assert len(data.split("train")) == whole
        (skipped,) = data.reading.skipped
        assert skipped.file == f"{birds}/val-0.tar/a.png"
    with pytest.raises(InputError, match="is not a picture Pillow can read"):
        open_data(str(birds), strict=True)


def test_damage_inside_a_picture_is_named_when_it_is_read(birds) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    files = [("a.png", buffer.getvalue()[:6000] + b"IEND"), ("a.cls", b"0")]
    write_tar(birds / "train-1.tar", files)
    data = open_data(str(birds))
    with pytest.raises(InputError, match=r"train-1\.tar/a\.png is broken or truncated"):
        data.read(data.split("train")[4])


def test_a_set_that_lacks_a_shard(own) -> None:
    tar = sorted(own.glob("train-*.tar"))[-1]
    tar.unlink()
    with pytest.raises(InputError) as caught:
        open_data(str(own))
    assert str(caught.value).endswith(
        "train pictures and dataset.json says 72; expected every shard of the set; copy it again"
    )


@pytest.mark.parametrize("text", ["", "[]", '{"name": "x"}', '{"name": 1, "licence": ""}'])
def test_a_wrong_card(own, text) -> None:
    (own / "dataset.json").write_text(text)
    with pytest.raises(InputError) as caught:
        open_data(str(own))
    assert str(caught.value).startswith(f"{own / 'dataset.json'}: ")
    assert len(str(caught.value).splitlines()) == 1


# The order of an epoch.

SIZES = st.lists(st.integers(0, 40), max_size=30)
SEEDS = st.integers(0, 2**32)
WORLDS = st.integers(1, 9)


def orders(sizes: list[int], seed: int, epoch: int, world: int) -> list[np.ndarray]:
    return [shard_order(sizes, seed, epoch, rank, world) for rank in range(world)]


@given(sizes=SIZES, seed=SEEDS, epoch=st.integers(0, 1000), world=WORLDS)
def test_processes_share_an_epoch_equally_and_no_sample_is_read_twice(
    sizes, seed, epoch, world
) -> None:
    found = orders(sizes, seed, epoch, world)
    assert {len(order) for order in found} == {sum(sizes) // world}
    together = np.concatenate(found)
    assert len(set(together.tolist())) == len(together)
    assert sum(sizes) - len(together) < world
    assert set(together.tolist()) <= set(range(sum(sizes)))
    for order, again in zip(found, orders(sizes, seed, epoch, world), strict=True):
        assert order.dtype == np.int64
        assert np.array_equal(order, again)


@given(sizes=SIZES, seed=SEEDS)
def test_one_process_reads_everything(sizes, seed) -> None:
    assert sorted(shard_order(sizes, seed, 0).tolist()) == list(range(sum(sizes)))


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=60), seed=SEEDS, world=WORLDS)
def test_a_process_reads_few_shards_at_a_time_and_finishes_each(sizes, seed, world) -> None:
    shard_of = np.repeat(np.arange(len(sizes)), sizes)
    owners = np.zeros(len(sizes), int)
    for order in orders(sizes, seed, 1, world):
        shards = shard_of[order]
        owners[np.unique(shards)] += 1
        first = {s: np.flatnonzero(shards == s)[0] for s in np.unique(shards)}
        last = {s: np.flatnonzero(shards == s)[-1] for s in first}
        for place in range(len(order)):
            assert sum(first[s] <= place <= last[s] for s in first) <= 4
    # Between two neighbours lies one border, so at most one shard that both read.
    assert (owners - 1).clip(0).sum() <= world - 1


def test_epochs_seeds_and_ranks_have_orders_of_their_own() -> None:
    sizes = [50] * 40
    found = [
        shard_order(sizes, seed, epoch).tolist() for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1))
    ]
    assert len(set(map(tuple, found))) == 4
    # The first shards differ, and within them the samples are mixed.
    first = [{index // 50 for index in order[:200]} for order in found]
    assert all(len(shards) == 4 for shards in first)
    assert first[0] != first[1]
    assert (np.diff(found[0][:200]) != 1).mean() > 0.9


def test_what_is_dropped_changes_with_the_epoch() -> None:
    sizes = [3, 4, 4]
    dropped = set()
    for epoch in range(40):
        dropped |= set(range(11)) - set(np.concatenate(orders(sizes, 0, epoch, 4)).tolist())
    assert len(dropped) > 6


@pytest.fixture
def no_sample_objects(monkeypatch) -> Callable[[], None]:
    """Fail if samples of shards are made into objects."""
    from edge_fgir.data.shards import ShardSamples

    def fail(self, index):
        pytest.fail("a sample object was made")

    return lambda: monkeypatch.setattr(ShardSamples, "__getitem__", fail)


def test_large_sets_are_counted_and_hashed_without_an_object_a_picture(
    birds, no_sample_objects
) -> None:
    data = open_data(str(birds))
    no_sample_objects()
    assert data.counts("train") == [2, 2, 2]
    assert len(data.info.hash) == 64
    assert len(files_of(data.split("train"))) == 2
