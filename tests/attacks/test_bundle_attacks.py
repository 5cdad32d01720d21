"""Bundles made to do harm, or damaged on the way: they end in one InputError, never in silence."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import re
import shutil
import stat
import struct
import subprocess
import tracemalloc
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from bundles import edit_manifest, make_bundle, needs_runtime, reseal, zip_bundle
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile

from edge_fgir import Classifier, InputError
from edge_fgir.runtime import Bundle, Manifest, verify
from edge_fgir.runtime import bundle as bundle_module

pytestmark = pytest.mark.unit

FILES = (
    "calibration.json",
    "golden/blue.png",
    "golden/expected.json",
    "labels.txt",
    "manifest.json",
    "openvino/model.bin",
    "openvino/model.xml",
    "preprocess.json",
    "reports/accuracy.json",
)
REFUSED = "expected a model as edge-fgir exports it"


class Evil:
    """Leaves a file behind when it is unpickled."""

    def __reduce__(self):
        return (open, ("evil.txt", "w"))


PICKLE = pickle.dumps(Evil())


@pytest.fixture
def copy(tiny_bundle, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "copy.fgir"))


@pytest.fixture(scope="module")
def victim(tiny_bundle, tmp_path_factory) -> Path:
    """A bundle whose files a property test spoils and mends."""
    return Path(shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("victims") / "a.fgir"))


def opened(path: Path) -> dict[str, bytes]:
    """Open a bundle as ``verify`` does, up to the engine, and return what it hands out."""
    bundle = Bundle(path)
    list(bundle.check_files())
    return {entry.path: bundle.read(entry.path) for entry in bundle.manifest.files}


@pytest.fixture
def wanted(tiny_bundle) -> dict[str, bytes]:
    """What a whole bundle hands out."""
    return opened(tiny_bundle)


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        list(Bundle(path).check_files())
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert str(path) in text
    return text


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Names and contents of everything below ``folder``."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.fixture(autouse=True)
def nothing_is_written(tmp_path, monkeypatch):
    """Run the attack in a folder of its own and look what it left there."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not [path.name for path in tmp_path.rglob("*") if "evil" in path.name]


def test_the_list_of_files_is_whole(tiny_bundle):
    found = {p.relative_to(tiny_bundle).as_posix() for p in tiny_bundle.rglob("*") if p.is_file()}
    assert found == {*FILES, "golden/red.png", "golden/green.png"}


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_anywhere_is_noticed(name, victim):
    file = victim / name
    whole = file.read_bytes()

    @given(place=st.integers(0, len(whole) - 1), flip=st.integers(1, 255))
    def flipped(place, flip):
        spoilt = bytearray(whole)
        spoilt[place] ^= flip
        file.write_bytes(spoilt)
        refusal(victim)

    try:
        flipped()
    finally:
        file.write_bytes(whole)
    opened(victim)


def test_every_single_byte_of_the_manifest_counts(tiny_bundle):
    whole = (tiny_bundle / "manifest.json").read_bytes()
    for place in range(len(whole)):
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << place % 8
        with pytest.raises(InputError):
            Manifest.parse(bytes(spoilt), "manifest.json")


@pytest.mark.parametrize("name", FILES)
def test_a_cut_or_lengthened_file_is_noticed(name, victim):
    file = victim / name
    whole = file.read_bytes()

    @given(left=st.integers(0, len(whole) - 1), more=st.binary(min_size=0, max_size=5))
    def resized(left, more):
        for spoilt in (whole[:left] + more, whole + more):
            if spoilt != whole:
                file.write_bytes(spoilt)
                refusal(victim)

    try:
        resized()
    finally:
        file.write_bytes(whole)


def test_verify_and_open_refuse_a_changed_model(copy):
    file = copy / "openvino" / "model.bin"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(InputError, match=r"openvino/model\.bin was changed"):
        list(verify(copy))
    with pytest.raises(InputError, match=r"openvino/model\.bin was changed"):
        Classifier.open(copy)


@pytest.fixture(scope="module")
def zipped(tiny_bundle, tmp_path_factory) -> Path:
    return zip_bundle(tiny_bundle, tmp_path_factory.mktemp("zips") / "a.zip")


def same_or_refused(path: Path, wanted: dict[str, bytes]) -> bool:
    """Dates and the like may change in a zip; what is handed out may not."""
    try:
        return opened(path) == wanted
    except InputError as error:
        return len(str(error).splitlines()) == 1


def test_a_changed_byte_in_a_zip_is_noticed_or_changes_nothing(zipped, tiny_bundle, tmp_path):
    whole, wanted, path = zipped.read_bytes(), opened(tiny_bundle), tmp_path / "b.zip"

    @given(place=st.integers(0, len(whole) - 1), flip=st.integers(1, 255))
    def flipped(place, flip):
        spoilt = bytearray(whole)
        spoilt[place] ^= flip
        path.write_bytes(spoilt)
        assert same_or_refused(path, wanted)

    flipped()


def test_every_byte_of_a_zips_directory_is_noticed_or_changes_nothing(
    zipped, tiny_bundle, tmp_path
):
    whole, wanted, path = zipped.read_bytes(), opened(tiny_bundle), tmp_path / "b.zip"
    first = whole.index(b"PK\x01\x02")
    second, end = whole.index(b"PK\x01\x02", first + 1), whole.index(b"PK\x05\x06")
    for place in (*range(first, second), *range(end, len(whole))):
        spoilt = bytearray(whole)
        spoilt[place] ^= 0x21
        path.write_bytes(spoilt)
        assert same_or_refused(path, wanted), place


@given(st.data())
def test_a_cut_zip_is_refused(zipped, tmp_path_factory, data):
    whole = zipped.read_bytes()
    path = zipped.with_name("cut.zip")
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    refusal(path)


def test_a_link_to_the_file_as_sealed_is_that_file(copy, tmp_path, wanted):
    """As a cache of downloads has it: names that are links to blobs."""
    for path in [path for path in copy.rglob("*") if path.is_file()]:
        blob = tmp_path / "blobs" / path.relative_to(copy).as_posix().replace("/", "-")
        blob.parent.mkdir(exist_ok=True)
        path.rename(blob)
        path.symlink_to(blob)
    assert opened(copy) == wanted


@pytest.mark.parametrize("name", ["labels.txt", "manifest.json"])
@pytest.mark.parametrize("where", ["/etc/passwd", "/proc/self/environ"])
def test_a_link_to_other_bytes_is_refused_and_they_are_not_told(name, where, copy):
    (copy / name).unlink()
    (copy / name).symlink_to(where)
    assert Path(where).read_bytes()[:10].decode() not in refusal(copy)


@pytest.mark.parametrize("where", ["/dev/zero", "/nowhere", "itself"])
@pytest.mark.parametrize("name", ["labels.txt", "more.txt"])
def test_a_link_to_no_file_is_refused(name, where, copy):
    (copy / name).unlink(missing_ok=True)
    (copy / name).symlink_to(name if where == "itself" else where)
    assert "more.txt" in refusal(copy) or "labels.txt" in refusal(copy)


def test_a_volume_of_links_is_a_bundle(copy, tmp_path, wanted):
    """A Kubernetes volume: links to ``..data``, which is a link to a hidden folder of today."""
    volume = tmp_path / "volume"
    volume.mkdir()
    copy.rename(volume / "..2026_01")
    (volume / "..data").symlink_to("..2026_01")
    for path in (volume / "..2026_01").iterdir():
        (volume / path.name).symlink_to(f"..data/{path.name}")
    assert opened(volume) == wanted


def test_a_link_to_a_folder_elsewhere_is_refused_with_a_remedy_that_mends(copy, tmp_path, wanted):
    (copy / "golden").rename(tmp_path / "golden")
    (copy / "golden").symlink_to(tmp_path / "golden")
    found = refusal(copy)
    assert "golden is a link to a folder of another place; expected folders of its own" in found
    remedy = found.split("without links: ")[1]
    subprocess.run(remedy.replace("BUNDLE", copy.name), shell=True, cwd=copy.parent, check=True)
    assert opened(copy.parent / "NEW.fgir") == wanted


def test_a_folder_that_is_linked_into_itself_ends(copy):
    (copy / "golden" / "again").symlink_to(copy)
    refusal(copy)


@pytest.mark.parametrize(
    "name",
    [".DS_Store", "._labels.txt", "golden/Thumbs.db", "desktop.ini", "@eaDir/x", ".nfs0001"],
)
def test_what_a_system_leaves_in_a_folder_changes_nothing(name, copy, wanted):
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_bytes(PICKLE)
    assert opened(copy) == wanted


def test_what_macos_adds_to_a_zip_changes_nothing(tiny_bundle, tmp_path, wanted):
    added = (("__MACOSX/._labels.txt", b"x"), (".DS_Store", b"x"))
    assert opened(zip_bundle(tiny_bundle, tmp_path / "a.zip", added=added)) == wanted


def test_a_manifest_cannot_list_what_a_system_leaves(copy):
    """Such a file would be passed over where it lies."""
    (copy / "desktop.ini").write_bytes(b"x")
    assert "desktop.ini is missing" in refusal(reseal(copy))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", ["manifest.json", "labels.txt", "more.txt"])
def test_a_pipe_does_not_make_it_wait(name, copy):
    (copy / name).unlink(missing_ok=True)
    os.mkfifo(copy / name)
    assert f"{name} is no file" in refusal(copy)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_instead_of_a_zip_does_not_make_it_wait(tmp_path):
    os.mkfifo(tmp_path / "a.zip")
    assert "a.zip is no file; expected a bundle folder or zip" in refusal(tmp_path / "a.zip")


UNSAFE = (
    "../evil.txt",
    "golden/../../evil.txt",
    "/tmp/evil.txt",
    "..",
    ".",
    "",
    "golden/./evil.txt",
    "golden//evil.txt",
    "golden/",
    "..\\evil.txt",
    "golden\\evil.txt",
    "golden/.evil.txt",
    "evil.txt.",
    "evil.txt ",
    "evil\n.txt",
    "evil\x00.txt",
    "evil\x1b[2J.txt",
    "evil\u202etxt.exe",
    "\u212avil.txt",
    "-evil",
    "C:evil.txt",
    "C:/evil.txt",
    "labels.txt:evil",
    "manifest.json",
    "Manifest.JSON",
    "signature.json",
    "Signature.json",
    pytest.param("x" * 201, id="long"),
)


@pytest.mark.parametrize("path", UNSAFE)
def test_unsafe_paths_in_the_manifest_are_refused(path, copy, tmp_path):
    for place in (tmp_path / "evil.txt", copy / "evil.txt"):
        place.write_text("secret")
    try:
        edit_manifest(
            copy,
            lambda manifest: manifest["files"].append(
                {"path": path, "sha256": "2bb80d53" * 8, "size": 6}
            ),
        )
        assert "manifest.json: files.10.path: " in refusal(copy)
    finally:
        for place in (tmp_path / "evil.txt", copy / "evil.txt"):
            place.unlink()


@pytest.mark.parametrize("name", ["../../evil.xml", "/etc/passwd", "C:\\evil.xml", ""])
def test_the_model_file_does_not_lead_outside(name, copy):
    edit_manifest(copy, lambda manifest: manifest.update(model_file=name))
    assert "manifest.json: model_file: unsafe path" in refusal(copy)


def test_the_model_file_must_be_one_of_the_files(copy):
    edit_manifest(copy, lambda manifest: manifest.update(model_file="labels"))
    with pytest.raises(InputError, match=r"has no file .*; expected a file the manifest lists"):
        Classifier.open(copy)


def test_a_file_listed_twice_with_another_hash_is_refused(copy):
    edit_manifest(
        copy,
        lambda manifest: manifest["files"].append({**manifest["files"][0], "sha256": "0" * 64}),
    )
    assert "files: a path is listed twice" in refusal(copy)


@pytest.mark.parametrize("path", ["LABELS.txt", "labels.TXT", "Golden/Red.PNG"])
def test_two_spellings_of_one_name_are_refused(path, copy, tmp_path):
    entry = {"path": path, "sha256": hashlib.sha256(b"x").hexdigest(), "size": 1}
    edit_manifest(copy, lambda manifest: manifest["files"].append(entry))
    path = zip_bundle(copy, tmp_path / "a.zip", added=((path, b"x"),))
    assert "files: a path is listed twice, or in two spellings" in refusal(path)


@pytest.mark.parametrize(("path", "name"), [("golden", "golden"), ("Labels.txt/x", "labels.txt")])
def test_a_name_that_is_a_file_and_a_folder_is_refused(path, name, copy, tmp_path):
    entry = {"path": path, "sha256": hashlib.sha256(b"x").hexdigest(), "size": 1}
    edit_manifest(copy, lambda manifest: manifest["files"].append(entry))
    path = zip_bundle(copy, tmp_path / "a.zip", added=((path, b"x"),))
    assert f"files: {name} is listed as a file and as a folder" in refusal(path)


@pytest.mark.parametrize("path", ["evil", "A" * 64, "0" * 63, "0" * 65])
def test_a_hash_is_64_small_hex_digits(path, copy):
    edit_manifest(copy, lambda manifest: manifest["files"][0].update(sha256=path))
    assert "files.0.sha256: String should match pattern" in refusal(copy)


def test_a_huge_manifest_is_not_read(copy, monkeypatch):
    with (copy / "manifest.json").open("ab") as file:
        file.truncate((4 << 20) + 1)
    monkeypatch.setattr(Path, "open", lambda path, mode: pytest.fail(f"{path} was read"))
    assert "manifest.json has 4194305 bytes; expected at most 4194304" in refusal(copy)


def test_a_manifest_of_many_files_is_refused_without_much_work(copy):
    def many(manifest):
        entry = manifest["files"][0]
        manifest["files"] = [{**entry, "path": f"f{n}"} for n in range(20_000)]

    edit_manifest(copy, many)
    assert "manifest.json: files: List should have at most 1024 items" in refusal(copy)


ZEROS = "0" * 64


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("name", r'"\ud800"'),
        ("params", "1" + "0" * 4200),
        ("params", "1" + "0" * 5000),
        ("target", r'"\u001b]0;evil\u0007"'),
        ("output", '{"name": "probabilities", "classes": 1000001}'),
        ("files", f'[{{"path": "a", "sha256": "{ZEROS}", "size": {1 << 40}}}]'),
        ("files", f'[{{"path": "a", "sha256": "{ZEROS}", "size": -1}}]'),
    ],
    ids=range(7),
)
def test_a_manifest_of_absurd_values_is_refused(key, text, copy):
    file = copy / "manifest.json"
    values = json.loads(file.read_text()) | {key: "VALUE"}
    file.write_text(json.dumps(values, indent=2).replace('"VALUE"', text) + "\n")
    assert "changed after export" not in refusal(copy)  # the value itself is what is refused


def test_a_huge_file_is_not_read(copy, monkeypatch):
    with (copy / "labels.txt").open("r+b") as file:
        file.truncate(1 << 40)
    assert f"labels.txt has {1 << 40} bytes; expected 15 as sealed" in refusal(copy)


def test_a_file_that_grows_while_it_is_read_gives_no_more_than_was_sealed(copy, monkeypatch):
    bundle, labels = Bundle(copy), (copy / "labels.txt").read_bytes()
    (copy / "labels.txt").write_bytes(labels + b"evil\n")
    monkeypatch.setattr(type(bundle._store), "size", lambda store, name: len(labels))
    assert bundle.read("labels.txt") == labels


@pytest.mark.parametrize("name", ["labels.txt", "preprocess.json", "golden/expected.json"])
def test_a_huge_text_that_is_sealed_is_not_read(name, tmp_path):
    data = b" " * ((16 << 20) + 1)
    path = make_bundle(tmp_path / "a.fgir", replaced={name: data})
    bundle = Bundle(path)
    bundle._store.open = lambda name: pytest.fail(f"{name} was read")  # type: ignore[method-assign]
    read = {
        "labels.txt": lambda: bundle.labels,
        "preprocess.json": lambda: bundle.preprocess,
        "golden/expected.json": lambda: bundle.golden,
    }[name]
    with pytest.raises(InputError, match=rf"{name} has 16777217 bytes; expected at most 16777216"):
        read()


def test_a_large_sealed_file_is_compared_in_parts(tmp_path):
    large = 16 << 20
    bundle = Bundle(make_bundle(tmp_path / "a.fgir", replaced={"notes.bin": bytes(large)}))
    tracemalloc.start()
    try:
        list(bundle.check_files())
        assert tracemalloc.get_traced_memory()[1] < large / 2
    finally:
        tracemalloc.stop()


def test_only_a_models_files_are_read_whatever_their_size(tmp_path, monkeypatch):
    bundle = Bundle(make_bundle(tmp_path / "a.fgir"))
    monkeypatch.setattr(bundle_module, "_MAX_READ_BYTES", 10)
    assert len(bundle.read("openvino/model.xml")) > 10
    with pytest.raises(InputError, match=r"golden/red\.png has \d+ bytes; expected at most 10"):
        bundle.read("golden/red.png")


DEEP = b'{"size": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"


def test_deeply_nested_json_is_refused(tmp_path):
    refusal(make_bundle(tmp_path / "deep.fgir", replaced={"preprocess.json": DEEP}))


@pytest.mark.parametrize("data", [DEEP, b"{", b"[]", b"\xff", PICKLE])
def test_a_report_that_is_none_is_refused(data, tmp_path):
    bundle = Bundle(make_bundle(tmp_path / "a.fgir", replaced={"reports/accuracy.json": data}))
    with pytest.raises(InputError, match=r"reports/accuracy\.json.*; expected a JSON object"):
        bundle.report("accuracy")


@pytest.mark.parametrize("label", ["\x1b[2Jred", "red\x07", "red\x9b2J", "re\0d", "red\x7f"])
def test_labels_that_would_command_a_terminal_are_refused(label, tmp_path):
    text = f"{label}\ngreen\nblue\n".encode()
    found = refusal(make_bundle(tmp_path / "a.fgir", replaced={"labels.txt": text}))
    assert f"labels.txt: {label!a} holds the control character U+" in found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("red\nred\nblue", "names 'red' twice"),
        ("red\n \nblue", "' ' is blank"),
        ("red\n\u202egreen\nblue", "holds the invisible character U+202E"),
        (f"red\n{'x' * (1 << 20)}\nblue", "has 1048576 characters, more than 1000"),
    ],
)
def test_labels_that_are_no_names_are_refused(text, said, tmp_path):
    replaced = {"labels.txt": f"{text}\n".encode()}
    assert said in refusal(make_bundle(tmp_path / "a.fgir", replaced=replaced))


def test_a_name_that_would_command_a_terminal_is_shown_and_not_obeyed(copy):
    (copy / "evil\x1b[2J").touch()
    try:
        with pytest.raises(InputError, match=r"evil\\x1b\[2J' is not listed") as caught:
            Bundle(copy)
        assert str(caught.value).isprintable()
    finally:
        (copy / "evil\x1b[2J").unlink()


def test_a_folder_of_very_many_files_is_refused(copy):
    for number in range(2048):
        (copy / f"{number}").touch()
    assert "copy.fgir has over 2048 entries; expected a bundle" in refusal(copy)


def test_a_very_deep_folder_is_refused(copy):
    here = os.open(copy, os.O_RDONLY)
    try:
        for _ in range(1500):  # deeper than Python recurses, shorter than a path may be
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        with os.fdopen(os.open("x", os.O_CREAT | os.O_WRONLY, dir_fd=here), "w"):
            pass
        assert "is not listed in the manifest" in refusal(copy)
    finally:
        os.close(here)
        subprocess.run(["rm", "-rf", copy], check=True)


def test_a_deflated_zip_is_refused(tiny_bundle, tmp_path):
    path = zip_bundle(tiny_bundle, tmp_path / "a.zip", compression=zipfile.ZIP_DEFLATED)
    text = refusal(path)
    assert "entry 'calibration.json' is compressed or a folder; expected stored files" in text
    assert text.endswith("make the zip of the folder with: edge-fgir pack")


def test_a_zip_bomb_is_refused_before_it_grows(tiny_bundle, tmp_path, monkeypatch):
    path = zip_bundle(tiny_bundle, tmp_path / "a.zip")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.bin", b"\0" * (8 << 20))
    assert path.stat().st_size < 1 << 16
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("an entry was read"))
    assert "entry 'bomb.bin' is compressed" in refusal(path)


def test_a_size_that_a_zip_only_claims_is_not_believed(tiny_bundle, tmp_path):
    path = zip_bundle(tiny_bundle, tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    directory = data.index(b"PK\x01\x02")
    struct.pack_into("<I", data, directory + 24, 0xFFFF_FFF0)
    path.write_bytes(data)
    assert "entry 'calibration.json' claims 4294967280 bytes of 222" in refusal(path)


def test_a_size_that_a_zip_claims_twice_is_not_believed(tiny_bundle, tmp_path, monkeypatch):
    path = zip_bundle(tiny_bundle, tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    struct.pack_into("<II", data, data.index(b"PK\x01\x02") + 20, 1 << 31, 1 << 31)
    path.write_bytes(data)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("an entry was read"))
    assert "overlaps another; expected every byte once" in refusal(path)


def test_entries_that_share_their_bytes_are_refused(copy, tmp_path):
    """A zip of a megabyte whose thousand entries are each the same megabyte."""
    data = bytes(1 << 20)
    entry = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    names = [f"bomb{number:03d}" for number in range(1000)]
    edit_manifest(
        copy, lambda manifest: manifest["files"].extend({"path": n, **entry} for n in names)
    )
    path = zip_bundle(copy, tmp_path / "a.zip", added=((names[0], data),))
    whole = path.read_bytes()
    start, end = whole.rindex(b"PK\x01\x02"), whole.rindex(b"PK\x05\x06")
    record = whole[start:end]
    copies = b"".join(record.replace(b"bomb000", name.encode()) for name in names[1:])
    tail = bytearray(whole[end:])
    count, size, place = struct.unpack_from("<HLL", tail, 10)
    struct.pack_into("<HHLL", tail, 8, count + 999, count + 999, size + len(copies), place)
    path.write_bytes(whole[:end] + copies + tail)
    assert "overlaps another; expected every byte once" in refusal(path)


def test_an_entry_inside_another_is_refused(tiny_bundle, tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("labels.txt", (tiny_bundle / "labels.txt").read_bytes())
    local = inner.getvalue()[: inner.getvalue().index(b"PK\x01\x02")]
    path = zip_bundle(tiny_bundle, tmp_path / "a.zip", added=(("extra.bin", local),))
    data = bytearray(path.read_bytes())
    place = data.rindex(local, 0, data.rindex(b"PK\x01\x02"))
    record = data.rindex(b"labels.txt") - 46
    struct.pack_into("<L", data, record + 42, place)
    path.write_bytes(data)
    assert "entry 'labels.txt' overlaps another" in refusal(path)


@pytest.mark.parametrize("entries", [2049, 60_000])
def test_a_zip_of_very_many_entries_is_refused_before_its_directory_is_read(
    entries, tmp_path, monkeypatch
):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(entries):
            archive.writestr(f"{number}", b"")
    monkeypatch.setattr(zipfile, "ZipFile", lambda path: pytest.fail("it was opened"))
    assert "a.zip has over 2048 entries; expected a bundle" in refusal(path)


def test_a_zip_whose_count_is_a_lie_is_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(3000):
            archive.writestr(f"{number}", b"")
    data = bytearray(path.read_bytes())
    struct.pack_into("<HH", data, len(data) - 14, 5, 5)
    path.write_bytes(data)
    assert "a.zip has over 2048 entries; expected a bundle" in refusal(path)


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"#!/bin/sh\n", b""), (b"", b"evil"), (b"", b"\0"), (b"PK\x03\x04" + bytes(26), b"")],
    ids=range(4),
)
def test_a_zip_with_other_bytes_around_it_is_refused(before, after, zipped, tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(before + zipped.read_bytes() + after)
    refusal(path)


def test_a_zip_with_a_comment_is_refused(tiny_bundle, tmp_path):
    path = zip_bundle(tiny_bundle, tmp_path / "a.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"evil"
    assert "its last bytes are not the end of a plain zip" in refusal(path)


def test_a_second_end_that_only_zip64_readers_see_is_refused(zipped, tmp_path):
    whole = zipped.read_bytes()
    end = whole.rindex(b"PK\x05\x06")
    count, size, place = struct.unpack_from("<HLL", whole, end + 10)
    far = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, place)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    path = tmp_path / "a.zip"
    path.write_bytes(whole[:end] + far + locator + whole[end:])
    assert zipfile.ZipFile(path).namelist()
    assert "its last bytes are not the end of a plain zip" in refusal(path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR])
def test_a_zip_entry_that_would_unpack_as_no_plain_file_is_refused(kind, tiny_bundle, tmp_path):
    path = zip_bundle(tiny_bundle, tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    record = data.rindex(b"labels.txt") - 46
    struct.pack_into("<L", data, record + 38, (kind | 0o644) << 16)
    path.write_bytes(data)
    assert "entry 'labels.txt' is a link or a device; expected plain files only" in refusal(path)


def test_an_entry_that_ends_after_its_zip_is_refused(tiny_bundle, tmp_path):
    path = zip_bundle(tiny_bundle, tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    directory = data.rindex(b"PK\x01\x02")
    struct.pack_into("<II", data, directory + 20, len(data), len(data))
    path.write_bytes(data)
    assert "a.zip: an entry ends after the zip; expected a whole zip" in refusal(path)


def test_a_zip_that_is_cut_off_after_it_was_opened_is_noticed(tiny_bundle, tmp_path):
    path = zip_bundle(tiny_bundle, tmp_path / "a.zip")
    bundle = Bundle(path)
    os.truncate(path, 50)
    with pytest.raises(InputError, match=r"a\.zip/reports/accuracy\.json: ") as caught:
        bundle.read("reports/accuracy.json")
    assert len(str(caught.value).splitlines()) == 1


def test_a_zip_with_an_entry_twice_is_refused(tiny_bundle, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile itself warns of what we do
        path = zip_bundle(tiny_bundle, tmp_path / "a.zip", added=(("labels.txt", b"a\nb\nc\n"),))
    assert "a.zip holds labels.txt twice; expected every file once" in refusal(path)


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/evil.txt", "golden/../../evil.txt", "C:\\evil.txt", "evil.txt"]
)
def test_a_zip_with_other_names_is_refused_and_unpacks_nothing(name, tiny_bundle, tmp_path):
    path = zip_bundle(tiny_bundle, tmp_path / "a.zip", added=((name, b"x"),))
    before = snapshot(tmp_path)
    assert "is not listed in the manifest; expected only the files edge-fgir sealed" in refusal(
        path
    )
    assert snapshot(tmp_path) == before


def test_a_zip_with_an_entry_without_a_name_is_refused(tiny_bundle, tmp_path):
    path = zip_bundle(tiny_bundle, tmp_path / "a.zip", added=(("nameless", b"x"),))
    path.write_bytes(path.read_bytes().replace(b"nameless", b"\0ameless"))
    assert "entry '' goes on after its name's end; expected plain names" in refusal(path)


def test_a_zip_with_a_folder_entry_is_refused(tiny_bundle, tmp_path):
    path = zip_bundle(tiny_bundle, tmp_path / "a.zip", added=(("golden/", b""),))
    assert "entry 'golden/' is compressed or a folder" in refusal(path)


def test_an_encrypted_zip_is_refused(tiny_bundle, tmp_path):
    path = zip_bundle(tiny_bundle, tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        place = data.find(signature)
        while place >= 0:
            data[place + flags] |= 1
            place = data.find(signature, place + 4)
    path.write_bytes(data)
    assert "is encrypted" in refusal(path)


def test_reading_a_zip_writes_nothing(zipped, tmp_path):
    path = Path(shutil.copy(zipped, tmp_path / "a.zip"))
    opened(path)
    assert list(snapshot(tmp_path)) == ["a.zip"]


def test_a_pickle_that_is_not_listed_is_refused(copy):
    (copy / "model.pkl").write_bytes(PICKLE)
    assert "model.pkl is not listed in the manifest" in refusal(copy)


@pytest.mark.parametrize(
    "name", ["preprocess.json", "calibration.json", "labels.txt", "golden/expected.json"]
)
def test_a_sealed_pickle_is_never_loaded(name, tmp_path):
    refusal(make_bundle(tmp_path / "a.fgir", replaced={name: PICKLE}))


@pytest.mark.export
@pytest.mark.parametrize(
    ("target", "name", "library"),
    [
        ("openvino", "openvino/model.xml", "OpenVINO"),
        ("openvino", "openvino/model.bin", "OpenVINO"),
        ("arm", "model.onnx", "ONNX Runtime"),
    ],
)
@pytest.mark.parametrize("data", [b"", b"<?xml version='1.0'?><net/>", PICKLE])
def test_a_sealed_model_that_is_none_is_refused(target, name, library, data, tmp_path):
    needs_runtime(target)
    path = make_bundle(tmp_path / "a.fgir", target=target, replaced={name: data})
    with pytest.raises(InputError, match=f"{library} cannot load it|{REFUSED}") as caught:
        Classifier.open(path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.export
@pytest.mark.parametrize("key", ["offset", "size"])
@pytest.mark.parametrize("value", ["99999999999", "18446744073709551608"])
def test_weights_beyond_the_file_are_not_read(key, value, tiny_bundle, tmp_path):
    text = (tiny_bundle / "openvino" / "model.xml").read_text()
    lie, places = re.subn(rf'\b{key}="\d+"', f'{key}="{value}"', text)
    assert places
    path = make_bundle(tmp_path / "a.fgir", replaced={"openvino/model.xml": lie.encode()})
    with pytest.raises(InputError, match=rf"a constant .*{REFUSED}"):
        Classifier.open(path)


@pytest.mark.export
def test_a_model_of_other_classes_than_the_labels_is_refused(tmp_path):
    four = make_bundle(tmp_path / "b.fgir", labels=tuple("abcd"))
    model = {n: (four / n).read_bytes() for n in ("openvino/model.xml", "openvino/model.bin")}
    path = make_bundle(tmp_path / "a.fgir", replaced=model)
    with pytest.raises(
        InputError, match=r"answers with shape \(1, 4\); expected \(1, 3\), a probability for each"
    ):
        Classifier.open(path)


@pytest.mark.export
@pytest.mark.parametrize("location", ["/etc/hostname", "../evil.bin", "evil.bin", "./evil.bin"])
def test_weights_outside_the_bundle_are_not_read(location, arm_bundle, tmp_path, monkeypatch):
    onnx = pytest.importorskip("onnx")
    here = tmp_path / "here"
    here.mkdir()
    for place in (tmp_path / "evil.bin", here / "evil.bin"):
        place.write_bytes(b"\0" * 64)
    model = onnx.load_model_from_string((arm_bundle / "model.onnx").read_bytes())
    (weights,) = (i for i in model.graph.initializer if i.name == "weights")
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=location)
    weights.external_data.add(key="length", value="36")
    data = model.SerializeToString()
    path = make_bundle(here / "a.fgir", target="arm", replaced={"model.onnx": data})
    monkeypatch.chdir(here)
    try:
        with pytest.raises(InputError, match=rf"(field 13|lie outside the file).*{REFUSED}"):
            Classifier.open(path)
    finally:
        for place in (tmp_path / "evil.bin", here / "evil.bin"):
            place.unlink()


@pytest.mark.export
@pytest.mark.parametrize("name", ["golden/red.png", "golden/none.png"])
def test_golden_pictures_must_be_pictures_of_the_bundle(name, tiny_bundle, tmp_path):
    expected = json.loads((tiny_bundle / "golden" / "expected.json").read_text())
    expected["images"][0]["file"] = name.removeprefix("golden/")
    data = json.dumps(expected).encode()
    replaced = {"golden/expected.json": data, "golden/red.png": PICKLE}
    path = make_bundle(tmp_path / "a.fgir", replaced=replaced)
    with pytest.raises(InputError, match=name):
        list(verify(path))


def picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32)).save(buffer, kind)
    return buffer.getvalue()


def png_that_claims(side: int) -> bytes:
    """A PNG whose header says it is large; its pixels are not there."""
    data, header = bytearray(picture("PNG")), slice(12, 29)
    struct.pack_into(">LL", data, 16, side, side)
    struct.pack_into(">L", data, header.stop, zlib.crc32(data[header]))
    return bytes(data)


@pytest.mark.export
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (png_that_claims(60_000), "decompression bomb"),
        (png_that_claims(9_000), "is 9000 x 9000 RGB; expected 32 x 32 RGB"),
        (picture("EPS"), "cannot identify image file"),
        (picture("BMP"), "cannot identify image file"),
    ],
    ids=["bomb", "large", "eps", "bmp"],
)
def test_golden_pictures_are_small_pngs(data, message, tmp_path, monkeypatch):
    path = make_bundle(tmp_path / "a.fgir", replaced={"golden/red.png": data})
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("it was decoded"))
    with pytest.raises(InputError, match=f"golden/red\\.png.*{message}"):
        list(verify(path))


@pytest.mark.export
def test_golden_pictures_do_not_lead_outside(tiny_bundle, tmp_path):
    expected = json.loads((tiny_bundle / "golden" / "expected.json").read_text())
    expected["images"][0]["file"] = "../../secret.png"
    (tmp_path / "secret.png").write_bytes((tiny_bundle / "golden" / "red.png").read_bytes())
    data = json.dumps(expected).encode()
    path = make_bundle(tmp_path / "a.fgir", replaced={"golden/expected.json": data})
    with pytest.raises(InputError, match=r"has no file golden/\.\./\.\./secret\.png"):
        list(verify(path))


@pytest.mark.export
def test_a_frame_of_a_harmless_bundle_writes_nothing(copy, tmp_path):
    before = snapshot(tmp_path)
    with Classifier.open(copy) as model:
        model(np.zeros((40, 40, 3), np.uint8))
    list(verify(copy))
    assert snapshot(tmp_path) == before
