"""Opening a bundle (a folder, or the same as one uncompressed zip) without trusting it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from edge_fgir._errors import InputError
from edge_fgir._files import sha256
from edge_fgir._refusal import validated
from edge_fgir._text import label_problem
from edge_fgir.runtime.bundle_store import (
    DAMAGED,
    PACK,
    READ_ERRORS,
    shown_name,
    store_of,
)
from edge_fgir.runtime.manifest import (
    MANIFEST,
    SIGNATURES,
    UNLISTED,
    VARIANTS,
    FileEntry,
    Manifest,
    VariantSpec,
)
from edge_fgir.runtime.novelty import NOVELTY, SPACE, FeatureSpace, Novelty
from edge_fgir.runtime.preprocess import Preprocess

if TYPE_CHECKING:
    from edge_fgir.runtime.signing import PublicKey, Signature

_MAX_UNLISTED_BYTES = 4 << 20
# JSON and labels become Python objects, many times their size.
_MAX_TEXT_BYTES = 16 << 20
# Ten times the features of the pictures of the largest data set.
_MAX_READ_BYTES = 256 << 20
_PART_BYTES = 1 << 20
_SHOWN_LABEL = 40
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
    validation_images: Annotated[int, Field(ge=0, description="0: a bundle only to be timed")]
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
    images: Annotated[list[GoldenImage], Field(min_length=1, max_length=64)]


def _public_key(path: Path | str) -> PublicKey:
    from edge_fgir.runtime.signing import read_public_key  # most bundles are not signed

    return read_public_key(path)


@dataclass(frozen=True)
class Check:
    """One check of ``verify``."""

    name: str
    ok: bool
    detail: str


def is_bundle(path: Path) -> bool:
    """Say whether a path is a file or has a manifest: a bundle, and no run folder."""
    return path.is_file() or (path / MANIFEST).exists()


class Bundle:
    """A sealed model: every byte it hands out has been compared with the manifest's hash.

    Example::

        import edge_fgir as ef

        bundle = ef.Bundle("birds.fgir")
        print(bundle.manifest.target, bundle.manifest.precision, bundle.labels)

    Args:
        path: The bundle's folder or zip.
        trust: PEM file with the public key that must have signed it; None: the bundle is
            known to be whole, not to be anyone's.

    Raises:
        InputError: It is missing, is no bundle, holds unlisted or missing files or unsafe
            paths, or its manifest was changed; with ``trust``, it is not signed by that key.
    """

    def __init__(self, path: Path | str, trust: Path | str | None = None) -> None:
        self.path = Path(path)
        self._key = None if trust is None else _public_key(trust)
        if not self.path.exists():
            raise InputError(
                f"{self.path} does not exist", "a bundle", "make one with: edge-fgir export"
            )
        self._store = store_of(self.path)
        names = self._store.names()
        if MANIFEST not in names:
            within = any(name.endswith(f"/{MANIFEST}") for name in names)
            raise InputError(
                f"{self.path} has no {MANIFEST}" + (", but a folder in it has" if within else ""),
                "a bundle",
                PACK if within else "make one with: edge-fgir export",
            )
        self._signed = tuple(name for name in SIGNATURES if name in names)
        self._text = self._raw(MANIFEST)
        if self._key is not None:
            self._check_signer(self._key, f"{trust}")
        self.manifest = Manifest.parse(self._text, f"{self.path}/{MANIFEST}")
        self._entries: dict[str, FileEntry] = {e.path: e for e in self.manifest.files}
        self._folders: tuple[str, ...] = ()
        self.variant: str | None = None
        """Which of several variants it is, such as ``128`` or ``224:0.7``; None: the bundle as a
        whole, or one without others."""
        self._check_names(names)

    @property
    def title(self) -> str:
        """Its path, and which of several variants it is."""
        return str(self.path) if self.variant is None else f"{self.path} at {self.variant}"

    @cached_property
    def variants(self) -> tuple[Bundle, ...]:
        """The bundle at each of its settings, the best first; alone where it has one setting."""
        specs, names = self.manifest.variants or (), self.manifest.variant_names
        if not specs:
            return (self,)
        first = self._with({"variants": None}, self._folders, names[0])
        return (first, *(self._at(spec) for spec in specs))

    def variants_from(self, variant: str) -> tuple[Bundle, ...]:
        """Return a variant and those after it.

        Args:
            variant: Its name, one of ``manifest.variant_names``.

        Raises:
            InputError: There is no such one.
        """
        names = self.manifest.variant_names
        if variant not in names:
            raise InputError(
                f"{self.path} has no variant {variant}",
                f"{'one of ' if len(names) > 1 else ''}{', '.join(names)}",
                "leave it out, or export it with --variant",
            )
        return self.variants[names.index(variant) :]

    def _at(self, spec: VariantSpec) -> Bundle:
        fields = ("precision", "model_file", "input", "explanation", "features", "forms")
        changes = {name: getattr(spec, name) for name in fields} | {"variants": None}
        return self._with(changes, (spec.folder,), spec.name)

    def _with(
        self, changes: dict[str, Any], folders: tuple[str, ...], variant: str | None
    ) -> Bundle:
        """Return the same bundle as one of its models computes it."""
        made = object.__new__(Bundle)
        for name, value in vars(self).items():
            if not isinstance(getattr(Bundle, name, None), cached_property):
                setattr(made, name, value)
        made._folders, made.variant = folders, variant
        made.manifest = self.manifest.model_copy(update=changes)
        return made

    def in_runtime(self, runtime: str) -> Bundle:
        """Return the bundle as one of its runtimes computes it: its model file, and what was
        measured of that.

        Raises:
            InputError: It has no files for ``runtime``.
        """
        if runtime == self.manifest.runtime:
            return self
        for form in self.manifest.forms or ():
            if form.runtime == runtime:
                break
        else:
            raise InputError(
                f"{self.path} has no files for runtime {runtime}",
                f"one of {', '.join(self.manifest.runtimes)}",
            )
        fields = ("runtime", "precision", "model_file", "features")
        changes = {name: getattr(form, name) for name in fields} | {"forms": None, "variants": None}
        return self._with(changes, (form.folder, *self._folders), self.variant)

    def _check_signer(self, key: PublicKey, trust: str) -> None:
        if key.file not in self._signed:
            raise InputError(
                f"{self.path} is not signed",
                f"a {key.file} by the key of {trust}",
                "get the signed bundle, or sign it with: edge-fgir export --sign",
            )
        signature = self._signature(key.file)
        if not signature.is_by(key):
            raise InputError(
                f"{self.path} is signed by key {signature.signer}",
                f"key {key.fingerprint[:16]} of {trust}",
                "do not use the bundle; get it again from whom you trust",
            )
        signature.check(self._text, f"{self.path}/{key.file}", key)

    def _signature(self, file: str) -> Signature:
        from edge_fgir.runtime.signing import KINDS

        return KINDS[file].parse(self._raw(file), f"{self.path}/{file}")

    @cached_property
    def signatures(self) -> tuple[Signature, ...]:
        """The signatures as they stand there; only ``trust`` says whose one is.

        Raises:
            InputError: One of them is damaged.
        """
        return tuple(map(self._signature, self._signed))

    def _check_names(self, names: list[str]) -> None:
        listed = {*self._entries, MANIFEST}
        if missing := sorted(listed - set(names)):
            raise InputError(
                f"{self.path}/{missing[0]} is missing", "every file the manifest lists", DAMAGED
            )
        if extra := sorted(set(names) - {*listed, *UNLISTED}):
            raise InputError(
                f"{shown_name(f'{self.path}/{extra[0]}')} is not listed in the manifest",
                "only the files edge-fgir sealed",
                "remove it, or export the bundle again",
            )
        if len(names) != len(set(names)):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"{self.path} holds {twice} twice", "every file once", DAMAGED)

    def _raw(self, name: str) -> bytes:
        """Return the bytes of a file that no manifest lists."""
        size = self._size(name, _MAX_UNLISTED_BYTES)
        with self._opened(name) as file:
            return file.read(size)

    def _size(self, name: str, most: int) -> int:
        with self._reading(name):
            found = self._store.size(name)
        if found > most:
            raise InputError(f"{self.path}/{name} has {found} bytes", f"at most {most}", DAMAGED)
        return found

    @contextmanager
    def _opened(self, name: str) -> Iterator[IO[bytes]]:
        with self._reading(name), self._store.open(name) as file:
            yield file

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        try:
            yield
        except READ_ERRORS as error:
            reason = str(error) or "it is cut off"
            raise InputError(f"{self.path}/{name}: {reason}", "a readable file", DAMAGED) from error

    def read(self, name: str) -> bytes:
        """Return the bytes of one listed file; that of the runtime's form where it has its own.

        Raises:
            InputError: It is not listed, or its size or hash differs from the manifest; it is
                larger than any file but a model's need be.
        """
        entry = self._entry(name)
        if entry is None:
            raise InputError(f"{self.path} has no file {name}", "a file the manifest lists")
        if not self.manifest.is_models(entry.path):
            self._size(entry.path, _MAX_READ_BYTES)
        self._check_size(entry)
        with self._opened(entry.path) as file:
            data = file.read(entry.size)
        self._check_hash(entry, sha256(data))
        return data

    def _compare(self, entry: FileEntry) -> None:
        """Compare a listed file with the manifest in parts: none is held as a whole."""
        self._check_size(entry)
        found = hashlib.sha256()
        with self._opened(entry.path) as file:
            while part := file.read(_PART_BYTES):
                found.update(part)
        self._check_hash(entry, found.hexdigest())

    def _check_size(self, entry: FileEntry) -> None:
        with self._reading(entry.path):
            found = self._store.size(entry.path)
        if found != entry.size:
            raise InputError(
                f"{self.path}/{entry.path} has {found} bytes", f"{entry.size} as sealed", DAMAGED
            )

    def _check_hash(self, entry: FileEntry, found: str) -> None:
        if found != entry.sha256:
            raise InputError(
                f"{self.path}/{entry.path} was changed: its SHA-256 differs from the manifest's",
                "the file as sealed",
                DAMAGED,
            )

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """Yield the name and the bytes of every file, the manifest and signatures first.

        Raises:
            InputError: At the first that differs from the manifest.
        """
        yield MANIFEST, self._text
        for name in self._signed:
            yield name, self._raw(name)
        for name in self._entries:
            yield name, self.read(name)

    def _entry(self, name: str) -> FileEntry | None:
        for folder in self._folders:
            if found := self._entries.get(f"{folder}/{name}"):
                return found
        # What was measured of the first variant says nothing of another one.
        if name.startswith("reports/") and any(each.startswith(VARIANTS) for each in self._folders):
            return None
        return self._entries.get(name)

    def _read_text(self, name: str) -> bytes:
        entry = self._entry(name)
        if entry is not None and entry.size > _MAX_TEXT_BYTES:
            raise InputError(
                f"{self.path}/{name} has {entry.size} bytes", f"at most {_MAX_TEXT_BYTES}", DAMAGED
            )
        return self.read(name)

    def _read_model(self, name: str, kind: type[_Model]) -> _Model:
        text = self._read_text(name)
        return validated(kind, text, f"{self.path}/{name}", f"a {kind.__name__}", DAMAGED)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the output."""
        try:
            labels = tuple(self._read_text("labels.txt").decode("utf-8").splitlines())
        except UnicodeDecodeError as error:
            raise InputError(f"{self.path}/labels.txt: {error}", "UTF-8 text", DAMAGED) from error
        if len(labels) != self.manifest.output.classes:
            raise InputError(
                f"{self.path}/labels.txt has {len(labels)} lines",
                f"{self.manifest.output.classes}, one a class",
                DAMAGED,
            )
        # Labels are printed, and decisions follow from them.
        for label in labels:
            if problem := label_problem(label):
                shown = ascii(label[:_SHOWN_LABEL])
                raise InputError(f"{self.path}/labels.txt: {shown} {problem}", "text", DAMAGED)
        if len(set(labels)) < len(labels):
            twice = next(label for label, count in Counter(labels).items() if count > 1)
            raise InputError(
                f"{self.path}/labels.txt names {twice!r} twice", "each class once", DAMAGED
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
                DAMAGED,
            )
        return found

    @cached_property
    def calibration(self) -> Calibration:
        """Temperature and unknown threshold."""
        return self._read_model("calibration.json", Calibration)

    @cached_property
    def novelty(self) -> Novelty | None:
        """From when on a picture is unknown by its features; None: the bundle does not look."""
        if self.manifest.features is None or self._entry(NOVELTY) is None:
            return None
        return self._read_model(NOVELTY, Novelty)

    @cached_property
    def feature_space(self) -> FeatureSpace | None:
        """Where the features of known pictures lie; None where :attr:`novelty` is None."""
        spec = self.manifest.features
        if spec is None or self.novelty is None:
            return None
        try:
            return FeatureSpace.from_bytes(self.read(SPACE), spec.size)
        except (ValueError, EOFError) as error:
            raise InputError(
                f"{self.path}/{SPACE}: {error}", "the space of the model's features", DAMAGED
            ) from error

    @cached_property
    def golden(self) -> Golden:
        """The golden images' expected answers."""
        return self._read_model("golden/expected.json", Golden)

    def report(self, name: str) -> dict[str, Any]:
        """Return ``reports/<name>.json``.

        Raises:
            InputError: It is not there, or is no JSON object.
        """
        return self.read_object(f"reports/{name}.json")

    def read_object(self, file: str) -> dict[str, Any]:
        """Return a JSON object from a listed file.

        Raises:
            InputError: It is not listed, was changed, or is no JSON object.
        """
        try:
            value = json.loads(self._read_text(file))
        except (ValueError, RecursionError) as error:
            raise InputError(f"{self.path}/{file}: {error}", "a JSON object", DAMAGED) from error
        if not isinstance(value, dict):
            raise InputError(f"{self.path}/{file} is no object", "a JSON object", DAMAGED)
        return value

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.manifest.files)

    @property
    def model_size(self) -> int:
        """Bytes of the model's own files: what the device keeps and loads."""
        return sum(e.size for e in self.manifest.files if self.manifest.is_models(e.path))

    def check_files(self) -> Iterator[Check]:
        """Compare every file with its hash, and signatures, if there are any, with the manifest.

        Raises:
            InputError: At the first that differs; a signature cannot be checked here.
        """
        for signature in self.signatures:
            key = self._key if self._key and self._key.file == signature.file else None
            known = signature.check(self._text, f"{self.path}/{signature.file}", key)
            yield Check("signature", True, known)
        for entry in self.manifest.files:
            self._compare(entry)
        yield Check(
            "files", True, f"{len(self._entries)} files, {self.size:,} bytes, all as sealed"
        )
        for variant in self.variants:
            for runtime in self.manifest.runtimes:
                form = variant.in_runtime(runtime)
                _ = (form.preprocess, form.calibration, form.golden, form.feature_space)
                if form.labels != self.labels:
                    raise InputError(
                        f"{form.title} knows other labels in {runtime}",
                        "the same ones in every variant and form",
                        DAMAGED,
                    )
        detail = f"{len(self.labels)} labels, input {self.preprocess.size} px"
        if len(self.variants) > 1:
            detail += f", variants {', '.join(self.manifest.variant_names)}"
        yield Check("contents", True, detail)
