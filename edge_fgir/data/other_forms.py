"""What is given for a data set and is none: what it is, by its first bytes, and the way to one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from edge_fgir._errors import InputError
from edge_fgir.runtime import is_picture

_HEAD_BYTES = 512
_SEARCHED = 200
"""Files of a folder that are looked at."""
_FOLDERS = "a folder of photographs, <class>/<image> or a published data set, or lists in .csv"
_LOAD = "write every picture to <class>/<image>, with "


@dataclass(frozen=True)
class _Form:
    """A form in which pictures are handed out and that is not read.

    Attributes:
        name: What it is called.
        marks: What such files have where: (offset, bytes), any of them.
        endings: Of file names, where the bytes do not tell.
        remedy: What to do or run; ``{file}`` is the file and ``{folder}`` a folder for it.
    """

    name: str
    marks: tuple[tuple[int, bytes], ...]
    endings: tuple[str, ...]
    remedy: str

    def is_of(self, head: bytes, name: str) -> bool:
        marked = any(head[at : at + len(mark)] == mark for at, mark in self.marks)
        return marked or name.lower().endswith(self.endings)


def _archive(name: str, command: str, *marks: tuple[int, bytes], endings: str) -> _Form:
    unpack = f"run: mkdir {{folder}} && {command}, and give {{folder}}"
    return _Form(name, marks, tuple(endings.split()), unpack)


_TAR = "tar -xf {file} -C {folder}"
_HUGGING_FACE = _LOAD + 'datasets.load_dataset("{kind}", data_files="{{file}}") of Hugging Face'

# Those that hold others come last: a NumPy archive is a zip, a MATLAB 7.3 file is HDF5.
_FORMS = (
    _Form("a Parquet file", ((0, b"PAR1"),), (".parquet",), _HUGGING_FACE.format(kind="parquet")),
    _Form(
        "an Arrow file",
        ((0, b"ARROW1"), (0, b"\xff\xff\xff\xff\x10"), (0, b"\xff\xff\xff\xff\x08")),
        (".arrow", ".feather"),
        _HUGGING_FACE.format(kind="arrow"),
    ),
    _Form("a MATLAB 7.3 file", ((0, b"MATLAB 7.3 MAT-file"),), (), _LOAD + "h5py.File"),
    _Form("a MATLAB file", ((0, b"MATLAB 5.0 MAT-file"),), (".mat",), _LOAD + "scipy.io.loadmat"),
    _Form("an HDF5 file", ((0, b"\x89HDF\r\n\x1a\n"),), (".h5", ".hdf5"), _LOAD + "h5py.File"),
    _Form("a NumPy file", ((0, b"\x93NUMPY"),), (".npy", ".npz"), _LOAD + "PIL.Image.fromarray"),
    _Form("a TFRecord file", (), (".tfrecord", ".tfrecords"), _LOAD + "tensorflow_datasets"),
    _Form("an LMDB database", ((16, b"\xde\xc0\xef\xbe"),), (".mdb", ".lmdb"), _LOAD + "lmdb"),
    _Form(
        "a pickle, which can run code when it is read",
        ((0, b"\x80\x02"), (0, b"\x80\x03"), (0, b"\x80\x04"), (0, b"\x80\x05")),
        (".pkl", ".pickle"),
        "get the pictures in another form",
    ),
    _archive("a zip archive", "unzip {file} -d {folder}", (0, b"PK\3\4"), endings=".zip"),
    _archive("a 7z archive", "7z x {file} -o{folder}", (0, b"7z\xbc\xaf\x27\x1c"), endings=".7z"),
    _archive("a rar archive", "unrar x {file} {folder}/", (0, b"Rar!\x1a\7"), endings=".rar"),
    _archive(
        "a tar archive",
        _TAR,
        (257, b"ustar"),
        (0, b"\x1f\x8b"),
        (0, b"BZh"),
        (0, b"\xfd7zXZ\0"),
        (0, b"\x28\xb5\x2f\xfd"),
        endings=".tar .gz .tgz .bz2 .xz .zst .tbz2 .txz",
    ),
)


# Lists that are read in another place, or with another ending.
_HINTS = {
    ".txt": "save a list as .csv, a class id and a picture's path a line",
    ".tsv": "save a list as .csv, a class id and a picture's path a line",
    ".json": "a list of COCO's is read from the folder that holds annotations/ or train/, "
    "one of Hugging Face is metadata.jsonl in its folder",
}


def refused_file(path: Path) -> InputError:
    """Return what to tell of a file that is given for a data set."""
    form = _form_of(path)
    if form is None:
        ending = path.suffix.lower()
        found = f"{path} is a file ({ending or 'no ending'})"
        return InputError(found, _FOLDERS, _HINTS.get(ending, ""))
    return _refused(path, form)


def refused_folder(root: Path, shards: Collection[Path] = ()) -> InputError | None:
    """Return what to tell of a folder that holds a data set in a form that is not read.

    None where it holds pictures, whatever else is wrong with it, or nothing that is known.
    ``shards`` are archives that are read.
    """
    forms = ((path, _form_of(path)) for path in _files(root) if path not in shards)
    known = [(path, form) for path, form in forms if form is not None]
    if not known or any(map(is_picture, _files(root))):
        return None
    return _refused(*known[0])


def _refused(path: Path, form: _Form) -> InputError:
    folder = path.name.split(".")[0]
    return InputError(
        f"{path} is {form.name}", _FOLDERS, form.remedy.format(file=path, folder=folder)
    )


def _files(root: Path) -> Iterator[Path]:
    found = (path for level in ("*", "*/*", "*/*/*") for path in sorted(root.glob(level)))
    shown = (path for path in found if path.is_file() and not path.name.startswith("."))
    return islice(shown, _SEARCHED)


def _form_of(path: Path) -> _Form | None:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        head = b""
    return next((form for form in _FORMS if form.is_of(head, path.name)), None)
