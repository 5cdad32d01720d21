"""A bundle's two forms: nothing is lost on the way, and nothing that was changed gets through."""

from __future__ import annotations

import os
import shutil
import zipfile

import pytest
from bundles import make_bundle

from edge_fgir._errors import InputError
from edge_fgir.runtime import Bundle, pack, unpack, verify

pytestmark = pytest.mark.unit


def files_of(folder):
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_there_and_back_again(tiny_bundle, tmp_path):
    pack(Bundle(tiny_bundle), tmp_path / "birds.zip")
    unpack(Bundle(tmp_path / "birds.zip"), tmp_path / "again.fgir")
    assert files_of(tmp_path / "again.fgir") == files_of(tiny_bundle)
    assert all(check.ok for check in verify(tmp_path / "birds.zip"))


def test_the_same_bundle_gives_the_same_bytes(tiny_bundle, tmp_path):
    copy = shutil.copytree(tiny_bundle, tmp_path / "copy.fgir")
    for file in copy.rglob("*"):
        os.utime(file, (10**9, 10**9))
        file.chmod(0o700)
    pack(Bundle(tiny_bundle), tmp_path / "a.zip")
    pack(Bundle(copy), tmp_path / "b.zip")
    pack(Bundle(tmp_path / "a.zip"), tmp_path / "c.zip")
    first, *others = ((tmp_path / name).read_bytes() for name in ("a.zip", "b.zip", "c.zip"))
    assert all(other == first for other in others)


def test_a_signature_comes_along(tiny_bundle, tmp_path):
    copy = shutil.copytree(tiny_bundle, tmp_path / "copy.fgir")
    (copy / "signature.json").write_text("{}")
    pack(Bundle(copy), tmp_path / "a.zip")
    assert zipfile.ZipFile(tmp_path / "a.zip").read("signature.json") == b"{}"


@pytest.mark.parametrize("write", [pack, unpack])
def test_what_was_changed_is_refused_and_nothing_written(write, tmp_path):
    bundle = make_bundle(tmp_path / "birds.fgir")
    labels = bundle / "labels.txt"
    labels.write_bytes(labels.read_bytes().replace(b"red", b"rad"))
    with pytest.raises(InputError, match=r"labels\.txt was changed"):
        write(Bundle(bundle), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["birds.fgir"]


@pytest.mark.parametrize("write", [pack, unpack])
def test_nothing_but_a_bundle_is_replaced(write, tiny_bundle, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("years of work")
    with pytest.raises(InputError, match="thesis exists and is not a bundle"):
        write(Bundle(tiny_bundle), tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter").read_text() == "years of work"


def test_a_zip_by_another_tool_names_the_command(tiny_bundle, tmp_path):
    """What ``zip -0 -r`` makes of a folder: entries for folders as well."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(tiny_bundle.rglob("*")):
            archive.write(file, file.relative_to(tiny_bundle))
    with pytest.raises(InputError, match=r"is compressed or a folder; .* edge-fgir pack"):
        Bundle(path)


def test_the_commands(run_cli, tiny_bundle, tmp_path):
    copy = shutil.copytree(tiny_bundle, tmp_path / "birds.fgir")
    done = run_cli("pack", copy)
    assert done.code == 0
    assert done.out.startswith(f"{tmp_path / 'birds.zip'}: ")
    done = run_cli("unpack", tmp_path / "birds.zip", "--out", tmp_path / "new.fgir", "--json")
    assert done.json["path"] == str(tmp_path / "new.fgir")
    assert files_of(tmp_path / "new.fgir") == files_of(copy)


def test_a_dot_in_a_name_is_no_ending(run_cli, tiny_bundle, tmp_path):
    for name in ("m-0.5", "m-0.7"):
        shutil.copytree(tiny_bundle, tmp_path / name)
        assert run_cli("pack", tmp_path / name).code == 0
        assert (tmp_path / f"{name}.zip").is_file()
    assert run_cli("unpack", tmp_path / "m-0.5.zip").code == 0
    assert (tmp_path / "m-0.5.fgir").is_dir()


def test_a_bundle_that_is_called_by_a_dot_is_packed_beside_itself(
    run_cli, tiny_bundle, tmp_path, monkeypatch
):
    copy = shutil.copytree(tiny_bundle, tmp_path / "birds.fgir")
    before = files_of(copy)
    monkeypatch.chdir(copy)
    done = run_cli("pack", ".")
    assert done.code == 0, done.err
    assert done.out.startswith(f"{tmp_path / 'birds.zip'}: ")
    monkeypatch.chdir(copy / "openvino")
    assert run_cli("pack", "..", "--json").json["path"] == str(tmp_path / "birds.zip")
    assert files_of(copy) == before
