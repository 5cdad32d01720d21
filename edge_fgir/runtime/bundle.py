"""Opening a bundle (a folder, or the same as one uncompressed zip) without trusting it."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_fgir._errors import InputError
from edge_fgir._files import sha256
from edge_fgir.runtime.manifest import MANIFEST, FileEntry, Manifest
from edge_fgir.runtime.preprocess import Preprocess

_MAX_MANIFEST_BYTES = 4 << 20
# What zipfile raises on damaged archives, and on encrypted ones.
_ZIP_ERRORS = (OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile)
_DAMAGED = "copy the bundle again, or export it again"
_Model = TypeVar("_Model", bound=BaseModel)


class Calibration(BaseModel):
    """``calibration.json``: how far the scores can be trusted, measured on validation images."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    temperature: Annotated[float, Field(gt=0, description="logits were divided by it in the graph")]
    unknown_threshold: Annotated[
        float, Field(ge=0, le=1, description="scores below it are reported as unknown")
    ]
    kept: Annotated[
        float,
        Field(ge=0, le=1, description="share of right validation answers above the threshold"),
    ]
    ece_before: Annotated[float, Field(ge=0, description="expected calibration error, percent")]
    ece_after: Annotated[float, Field(ge=0, description="expected calibration error, percent")]
    validation_images: Annotated[int, Field(ge=1)]
    quantization_images: Annotated[int, Field(ge=0, description="images the ranges came from")]
    quantization_hash: Annotated[str, Field(description="SHA-256 over those images' pixels")]


class GoldenImage(BaseModel):
    """One picture of ``golden/`` and the probabilities it gave when the bundle was made."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    file: str
    probabilities: list[float]


class Golden(BaseModel):
    """``golden/expected.json``: what ``verify`` replays."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tolerance: Annotated[float, Field(gt=0, le=1, description="allowed |delta probability|")]
    images: Annotated[list[GoldenImage], Field(min_length=1)]


class _Store(Protocol):
    def names(self) -> list[str]: ...
    def size(self, name: str) -> int: ...
    def read(self, name: str) -> bytes: ...


class _Folder:
    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> list[str]:
        found = []
        for folder, folders, files in os.walk(self._path):
            here = Path(folder)
            for name in folders + files:
                if (here / name).is_symlink():
                    raise InputError(f"{here / name} is a link", "plain files only", _DAMAGED)
            for name in files:
                # Reading a named pipe would wait for ever.
                if not (here / name).is_file():
                    raise InputError(f"{here / name} is no file", "plain files only", _DAMAGED)
            found += [(here / name).relative_to(self._path).as_posix() for name in files]
        return sorted(found)

    def size(self, name: str) -> int:
        return (self._path / name).stat().st_size

    def read(self, name: str) -> bytes:
        return (self._path / name).read_bytes()


class _Zip:
    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise InputError(f"{path} is no file", "a bundle folder or zip")
        try:
            self._zip = zipfile.ZipFile(path)
        except _ZIP_ERRORS as error:
            raise InputError(f"{path}: {error}", "a bundle folder or zip", _DAMAGED) from error
        for entry in self._zip.infolist():
            # Stored, not deflated: an entry cannot grow beyond the file that carries it.
            if entry.compress_type != zipfile.ZIP_STORED or entry.filename.endswith("/"):
                raise InputError(
                    f"{path}: entry {entry.filename!r} is compressed or a folder",
                    "stored files only",
                    "zip it with: edge-fgir export --zip",
                )

    def names(self) -> list[str]:
        return sorted(self._zip.namelist())

    def size(self, name: str) -> int:
        return self._zip.getinfo(name).file_size

    def read(self, name: str) -> bytes:
        return self._zip.read(name)


@dataclass(frozen=True)
class Check:
    """One check of ``verify``."""

    name: str
    ok: bool
    detail: str


class Bundle:
    """A sealed model: every byte it hands out has been compared with the manifest's hash.

    Args:
        path: The bundle's folder or zip.

    Raises:
        InputError: It is missing, is no bundle, holds unlisted or missing files, links or unsafe
            paths, or its manifest was changed.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise InputError(
                f"{self.path} does not exist", "a bundle", "make one with: edge-fgir export"
            )
        self._store: _Store = _Folder(self.path) if self.path.is_dir() else _Zip(self.path)
        names = self._store.names()
        if MANIFEST not in names:
            raise InputError(
                f"{self.path} has no {MANIFEST}", "a bundle", "make one with: edge-fgir export"
            )
        if self._store.size(MANIFEST) > _MAX_MANIFEST_BYTES:
            raise InputError(f"{self.path}: {MANIFEST} is over 4 MiB", "a bundle", _DAMAGED)
        self.manifest = Manifest.parse(self._raw(MANIFEST), f"{self.path}/{MANIFEST}")
        self._entries: dict[str, FileEntry] = {e.path: e for e in self.manifest.files}
        self._check_names(names)

    def _check_names(self, names: list[str]) -> None:
        listed = {*self._entries, MANIFEST}
        if missing := sorted(listed - set(names)):
            raise InputError(
                f"{self.path}/{missing[0]} is missing", "every file the manifest lists", _DAMAGED
            )
        if extra := sorted(set(names) - listed):
            raise InputError(
                f"{self.path}/{extra[0]} is not listed in the manifest",
                "only the files edge-fgir sealed",
                "remove it, or export the bundle again",
            )
        if len(names) != len(listed):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"{self.path} holds {twice} twice", "every file once", _DAMAGED)

    def _raw(self, name: str, size: int | None = None) -> bytes:
        try:
            found = self._store.size(name)
            if size is not None and found != size:
                raise InputError(
                    f"{self.path}/{name} has {found} bytes", f"{size} as sealed", _DAMAGED
                )
            return self._store.read(name)
        except _ZIP_ERRORS as error:
            reason = str(error) or "it is cut off"
            raise InputError(
                f"{self.path}/{name}: {reason}", "a readable file", _DAMAGED
            ) from error

    def read(self, name: str) -> bytes:
        """Return the bytes of one listed file.

        Raises:
            InputError: It is not listed, or its size or hash differs from the manifest.
        """
        entry = self._entries.get(name)
        if entry is None:
            raise InputError(f"{self.path} has no file {name}", "a file the manifest lists")
        data = self._raw(name, entry.size)
        if sha256(data) != entry.sha256:
            raise InputError(
                f"{self.path}/{name} was changed: its SHA-256 differs from the manifest's",
                "the file as sealed",
                _DAMAGED,
            )
        return data

    def _read_model(self, name: str, kind: type[_Model]) -> _Model:
        try:
            return kind.model_validate_json(self.read(name))
        except ValidationError as error:
            raise InputError(
                f"{self.path}/{name}: {error.errors()[0]['msg']}", f"a {kind.__name__}", _DAMAGED
            ) from error

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the output."""
        try:
            labels = tuple(self.read("labels.txt").decode("utf-8").splitlines())
        except UnicodeDecodeError as error:
            raise InputError(f"{self.path}/labels.txt: {error}", "UTF-8 text", _DAMAGED) from error
        if len(labels) != self.manifest.output.classes:
            raise InputError(
                f"{self.path}/labels.txt has {len(labels)} lines",
                f"{self.manifest.output.classes}, one a class",
                _DAMAGED,
            )
        return labels

    @cached_property
    def preprocess(self) -> Preprocess:
        """How a picture becomes the input."""
        found = self._read_model("preprocess.json", Preprocess)
        wanted = self.manifest.input.shape[1:]
        if wanted != (found.size, found.size, 3):
            raise InputError(
                f"{self.path}/preprocess.json makes pictures of {found.size} px",
                f"the model's input {wanted}",
                _DAMAGED,
            )
        return found

    @cached_property
    def calibration(self) -> Calibration:
        """Temperature and unknown threshold."""
        return self._read_model("calibration.json", Calibration)

    @cached_property
    def golden(self) -> Golden:
        """The golden images' expected answers."""
        return self._read_model("golden/expected.json", Golden)

    def report(self, name: str) -> dict[str, Any]:
        """Return ``reports/<name>.json``."""
        value: dict[str, Any] = json.loads(self.read(f"reports/{name}.json"))
        return value

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.manifest.files)

    @property
    def model_size(self) -> int:
        """Bytes of the model's own files: what the device keeps and loads."""
        stem = self.manifest.model_file.rsplit(".", 1)[0]
        return sum(e.size for e in self.manifest.files if e.path.rsplit(".", 1)[0] == stem)

    def check_files(self) -> Iterator[Check]:
        """Compare every file with its hash.

        Raises:
            InputError: At the first that differs.
        """
        for name in self._entries:
            self.read(name)
        yield Check(
            "files", True, f"{len(self._entries)} files, {self.size:,} bytes, all as sealed"
        )
        contents = (self.labels, self.preprocess, self.calibration, self.golden)
        yield Check("contents", True, f"{len(contents[0])} labels, input {self.preprocess.size} px")
