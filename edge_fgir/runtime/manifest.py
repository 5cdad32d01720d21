"""The bundle's manifest: what is inside, for which target, and the hash of every file."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from edge_fgir._errors import InputError
from edge_fgir._files import sha256, to_json
from edge_fgir._refusal import validated
from edge_fgir.runtime.images import READING, READING_KEY
from edge_fgir.runtime.precision import Precision
from edge_fgir.runtime.runtimes import check_runtime

SCHEMA_FAMILY = "edge-fgir/bundle/"
SCHEMA = f"{SCHEMA_FAMILY}1"
# A reader of the first would take the largest variant for all there is.
SCHEMA_OF_VARIANTS = f"{SCHEMA_FAMILY}2"
VARIANTS = "variants/"
"""Begins the folder of each but the first."""
MANIFEST, SIGNATURE, MODEL_SIGNATURE = "manifest.json", "signature.json", "model.sig"
SIGNATURES = (SIGNATURE, MODEL_SIGNATURE)
# No manifest lists them: it cannot hold its own hash, and signatures are over it.
UNLISTED = (MANIFEST, *SIGNATURES)

# More than any bundle needs; what a reader allocates is bounded by what a manifest may claim.
MAX_FILES = 1024
_MAX_FILE_BYTES = 2 << 30  # ONNX's own limit

# Plain names that mean the same on every file system, in every terminal, and lead nowhere else.
_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?"
_PATH = re.compile(rf"{_NAME}(?:/{_NAME})*")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _stays_inside(value: str) -> str:
    if not _PATH.fullmatch(value) or value.casefold() in UNLISTED:
        raise ValueError(f"unsafe path {value!a}")
    return value


_FilePath = Annotated[
    str, Field(max_length=200, description="relative POSIX path"), AfterValidator(_stays_inside)
]


_Positive = Annotated[float, Field(gt=0)]


class FileEntry(_Part):
    """One file of the bundle."""

    path: _FilePath
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0, le=_MAX_FILE_BYTES, description="bytes")]


class InputSpec(_Part):
    """The graph's input: ``uint8`` RGB pixels of the model's size, batch first."""

    name: str
    shape: tuple[int, int, int, int]
    dtype: Literal["uint8"] = "uint8"
    layout: Literal["NHWC"] = "NHWC"
    color: Literal["rgb"] = "rgb"


class OutputSpec(_Part):
    """The graph's output: calibrated class probabilities."""

    name: str
    classes: Annotated[int, Field(ge=2, le=1_000_000)]
    kind: Literal["probabilities"] = "probabilities"


class ExplanationSpec(_Part):
    """More of the graph's outputs: what a model that looks twice (GLSim) rests on."""

    region: Annotated[
        str,
        Field(
            description="output (1, 4): left, top, right, bottom of the second look, input pixels; "
            "the last two are exclusive"
        ),
    ]
    similarity: Annotated[
        str, Field(description="output (1, grid, grid): cosine of each patch and the whole")
    ]
    grid: Annotated[int, Field(ge=1, le=256, description="patches along a side")]
    top_o: Annotated[int, Field(ge=1, le=1 << 16, description="patches that the region encloses")]


class FeatureSpec(_Part):
    """One more of the graph's outputs: the vector that its classifier reads."""

    output: Annotated[str, Field(description="output (1, size)")] = "features"
    size: Annotated[int, Field(ge=1, le=1 << 16, description="length of the vector")]


class FormSpec(_Part):
    """The same network as another runtime computes it, with files of its own.

    What is not in its folder (labels, preprocessing, golden pictures) is the bundle's.
    """

    runtime: Annotated[str, AfterValidator(check_runtime)]
    precision: Precision
    folder: _FilePath
    model_file: _FilePath
    features: FeatureSpec | None = None


_Rate = Annotated[float, Field(gt=0, le=1)]


def variant_name(side: int, keep_rate: float | tuple[float, ...] | None) -> str:
    """Return what a variant is called: ``128`` pixels, ``224:0.7`` with a keep rate of its own."""
    if keep_rate is None:
        return f"{side}"
    rates = keep_rate if isinstance(keep_rate, tuple) else (keep_rate,)
    return f"{side}:{','.join(f'{rate:g}' for rate in rates)}"


class VariantSpec(_Part):
    """The same training at another setting: smaller pictures, or fewer tokens.

    What is not in its folder (labels, say) is the bundle's; its reports are its own.
    """

    keep_rate: Annotated[
        _Rate | Annotated[tuple[_Rate, ...], Field(min_length=2, max_length=64)] | None,
        Field(description="share of the tokens a stage keeps, or one a stage; null: not another"),
    ] = None
    precision: Precision
    folder: _FilePath
    model_file: _FilePath
    input: InputSpec
    explanation: ExplanationSpec | None = None
    features: FeatureSpec | None = None
    forms: Annotated[
        tuple[FormSpec, ...] | None,
        Field(max_length=8, description="for the bundle's other runtimes, in its order"),
    ] = None

    @property
    def name(self) -> str:
        """What it is called."""
        return variant_name(self.input.shape[1], self.keep_rate)

    def check(self, listed: Collection[str]) -> None:
        """Check that its parts lie where they should, all in its folder.

        Raises:
            ValueError: One does not, or is not ``listed``.
        """
        forms = self.forms or ()
        within = [(self.folder, VARIANTS), (self.model_file, f"{self.folder}/")]
        within += [(form.folder, f"{self.folder}/") for form in forms]
        within += [(form.model_file, f"{form.folder}/") for form in forms]
        for path, place in within:
            if not path.startswith(place):
                raise ValueError(f"variant {self.name}: {path} lies outside of {place}")
        for file in (self.model_file, *(form.model_file for form in forms)):
            if file not in listed:
                raise ValueError(f"variant {self.name}: {file} is not listed")


class Normalization(_Part):
    """Channel mean and standard deviation (of values in 0..1) folded into the graph."""

    mean: tuple[float, float, float]
    std: tuple[_Positive, _Positive, _Positive]


class DataInfo(_Part):
    """The data set the model was trained on."""

    name: str
    licence: str
    hash: Annotated[str, Field(description="SHA-256 over its file list, labels and splits")]


class OriginInfo(_Part):
    """What the weights came from, by content: neither recipe nor run folder is in the bundle."""

    weights: Annotated[str, Field(description="SHA-256 of the run's weights file")]
    recipe: Annotated[str | None, Field(description="SHA-256 of the run's recipe")] = None
    started_from: Annotated[
        str | None,
        Field(description="the weights that training started from: random, timm, or a file's name"),
    ] = None


class Manifest(_Part):
    """``manifest.json``. Its text is canonical and sealed, so any changed byte is noticed.

    The seal finds damage, not forgery: whoever writes a manifest can seal it.
    """

    schema_: Annotated[
        Literal["edge-fgir/bundle/1", "edge-fgir/bundle/2"],
        Field(alias="schema", description="2 where there are variants"),
    ] = "edge-fgir/bundle/1"
    name: str
    created: Annotated[str, Field(description="UTC, ISO 8601")]
    versions: Annotated[dict[str, str], Field(description="tool versions at export")]
    source_commit: Annotated[str, Field(description="commit of edge-fgir, or 'unknown'")]
    task: Literal["classification"] = "classification"
    target: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,40}$")]
    runtime: Annotated[str, AfterValidator(check_runtime)]
    precision: Precision
    architecture: Annotated[str, Field(description="model name as timm registers it")]
    params: Annotated[int, Field(ge=0, le=10**12, description="parameters of the trained model")]
    model_file: _FilePath
    input: InputSpec
    output: OutputSpec
    explanation: ExplanationSpec | None = None
    features: FeatureSpec | None = None
    forms: Annotated[
        tuple[FormSpec, ...] | None,
        Field(max_length=8, description="for other runtimes, in the order of preference"),
    ] = None
    variants: Annotated[
        tuple[VariantSpec, ...] | None,
        Field(
            min_length=1,
            max_length=8,
            description="the same training at other settings, each faster than the one before; "
            "what stands above is the first",
        ),
    ] = None
    normalization: Normalization
    data: DataInfo
    origin: OriginInfo | None = None
    files: Annotated[list[FileEntry], Field(max_length=MAX_FILES)]
    seal: Annotated[str, Field(description="SHA-256 over this text with an empty seal")] = ""

    @field_validator("files")
    @classmethod
    def _listed_once(cls, value: list[FileEntry]) -> list[FileEntry]:
        # Some file systems know one spelling of a letter only.
        paths = {entry.path.casefold() for entry in value}
        folders = {str(folder) for path in paths for folder in PurePosixPath(path).parents}
        if len(paths) != len(value):
            raise ValueError("a path is listed twice, or in two spellings")
        if both := sorted(paths & folders):
            raise ValueError(f"{both[0]} is listed as a file and as a folder")
        return value

    @model_validator(mode="after")
    def _one_form_a_runtime(self) -> Manifest:
        if len(set(self.runtimes)) < len(self.runtimes):
            raise ValueError("a runtime has two forms")
        return self

    @model_validator(mode="after")
    def _variants_fit(self) -> Manifest:
        if (self.schema_ == SCHEMA_OF_VARIANTS) != (self.variants is not None):
            raise ValueError(f"variants go with schema {SCHEMA_OF_VARIANTS}, and it with them")
        variants, listed = self.variants or (), {entry.path for entry in self.files}
        if len(set(self.variant_names)) < len(self.variant_names):
            raise ValueError("a variant is there twice")
        folders = [form.folder for form in self.forms or ()] + [each.folder for each in variants]
        for number, folder in enumerate(folders):
            for other in folders[:number] if variants else ():
                if f"{folder}/".startswith(f"{other}/") or f"{other}/".startswith(f"{folder}/"):
                    raise ValueError(f"two variants or forms share the folder {folder}")
        for each in variants:
            each.check(listed)
            own = tuple(form.runtime for form in each.forms or ())
            if own != self.runtimes[1:]:
                raise ValueError(f"variant {each.name} is for other runtimes than the bundle")
        return self

    @property
    def variant_names(self) -> tuple[str, ...]:
        """What its variants are called, the first one included: ``224``, ``224:0.7``."""
        return (str(self.input.shape[1]), *(each.name for each in self.variants or ()))

    @property
    def runtimes(self) -> tuple[str, ...]:
        """The runtimes that it has files for, the preferred one first."""
        return (self.runtime, *(form.runtime for form in self.forms or ()))

    @property
    def converts(self) -> bool:
        """Whether odd picture files are converted (:mod:`edge_fgir.runtime.images`).

        Bundles of the time when training refused such files refuse them too.
        """
        return self.versions.get(READING_KEY) == READING

    def is_models(self, path: str) -> bool:
        """Say whether a file is one of the model's own: what the device loads."""
        parts: tuple[Manifest | VariantSpec, ...] = (self, *(self.variants or ()))
        files = [part.model_file for part in parts]
        files += [form.model_file for part in parts for form in part.forms or ()]
        return path.rsplit(".", 1)[0] in {file.rsplit(".", 1)[0] for file in files}

    def dump(self) -> str:
        """Return the canonical text of ``manifest.json``; a part that is not there is left out."""
        return to_json(self.model_dump(mode="json", by_alias=True, exclude_none=True))

    @classmethod
    def parse(cls, text: bytes, source: str) -> Manifest:
        """Read ``manifest.json``.

        Raises:
            InputError: It is not valid, is of another schema, or its text is not canonical.
        """
        remedy = "export the bundle again or update edge-fgir"
        expected = f"schema {SCHEMA} or {SCHEMA_OF_VARIANTS.removeprefix(SCHEMA_FAMILY)}"
        manifest = validated(cls, text, source, expected, remedy)
        if manifest.dump().encode() != text or manifest.seal != manifest._own_seal():
            raise InputError(
                f"{source} was changed after export",
                "the text edge-fgir wrote",
                "copy or export the bundle again",
            )
        return manifest

    @classmethod
    def sealed(cls, contents: dict[str, bytes], **fields: Any) -> Manifest:
        """Build the manifest of a bundle that holds ``contents`` (path -> bytes)."""
        files = [
            FileEntry(path=path, sha256=sha256(data), size=len(data))
            for path, data in sorted(contents.items())
        ]
        fields["schema"] = SCHEMA_OF_VARIANTS if fields.get("variants") else SCHEMA
        draft = cls(files=files, **fields)
        return draft.model_copy(update={"seal": draft._own_seal()})

    def _own_seal(self) -> str:
        return sha256(self.model_copy(update={"seal": ""}).dump().encode())
