"""The bundle's manifest: what is inside, for which target, and the hash of every file."""

from __future__ import annotations

import re
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

    schema_: Annotated[Literal["edge-fgir/bundle/1"], Field(alias="schema")] = "edge-fgir/bundle/1"
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
        files = (self.model_file, *(form.model_file for form in self.forms or ()))
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
        manifest = validated(cls, text, source, f"schema {SCHEMA}", remedy)
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
        draft = cls(files=files, **fields)
        return draft.model_copy(update={"seal": draft._own_seal()})

    def _own_seal(self) -> str:
        return sha256(self.model_copy(update={"seal": ""}).dump().encode())
