"""Files that hold no data set that is read are called what they are, with the way to one."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edge_fgir._errors import InputError
from edge_fgir.data import open_data

pytestmark = pytest.mark.unit


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.jpg"))
    return buffer.getvalue()


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.jpg", b"")
    return buffer.getvalue()


def arrays() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        open_data(str(path))
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    return text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("birds.zip", "birds.zip is a zip archive; expected a folder of photographs"),
        ("birds.tar.gz", "birds.tar.gz is a tar archive; "),
        ("birds.TAR", "birds.TAR is a tar archive; "),
        ("train.parquet", 'with datasets.load_dataset("parquet", data_files="'),
        ("data.mat", "data.mat is a MATLAB file; "),
        ("data.tfrecord", "data.tfrecord is a TFRecord file; "),
        ("photo.jpg", "photo.jpg is a file (.jpg); expected a folder of photographs"),
        ("photos", "photos is a file (no ending); "),
        ("list.txt", "list.txt is a file (.txt); expected a folder of photographs"),
        ("list.txt", "; save a list as .csv, a class id and a picture's path a line"),
        ("anno.json", "; a list of COCO's is read from the folder that holds annotations/"),
    ],
)
def test_files_are_refused_as_what_their_names_say(tmp_path: Path, name, message) -> None:
    (tmp_path / name).write_bytes(b"x")
    assert message in refusal(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"PAR1" + bytes(20), "a Parquet file; "),
        (b"ARROW1\0\0", "an Arrow file; "),
        (b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(128), "a MATLAB file; "),
        (b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(128), "a MATLAB 7.3 file; "),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file; "),
        (arrays(), "a NumPy file; "),
        (b"\x80\x04\x95", "a pickle, which can run code when it is read; "),
        (zipped(), "a zip archive; "),
        (tar(), "a tar archive; "),
        (b"\x1f\x8b\x08", "a tar archive; "),
    ],
)
def test_files_are_refused_as_what_their_bytes_say(tmp_path: Path, content, kind) -> None:
    (tmp_path / "birds.data").write_bytes(content)
    assert f"birds.data is {kind}" in refusal(tmp_path / "birds.data")


def test_a_command_unpacks_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "birds.v2.zip").write_bytes(zipped())
    path = tmp_path / "birds.v2.zip"
    assert f"run: mkdir birds && unzip {path} -d birds, and give birds" in refusal(path)


def test_a_folder_of_such_files_is_called_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "README.md").write_text("birds")
    (tmp_path / "data" / "train-00000-of-00001.parquet").write_bytes(b"PAR1")
    assert "data/train-00000-of-00001.parquet is a Parquet file" in refusal(tmp_path)


def test_beside_pictures_such_a_file_is_not_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "a" / "train").mkdir(parents=True)
    (tmp_path / "a" / "train" / "b.jpg").write_bytes(b"x")
    (tmp_path / "birds.zip").write_bytes(zipped())
    assert "archive" not in refusal(tmp_path)
