"""The bundle's manifest: what is inside, for which target, and the hash of every file."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from edge_fgir._errors import InputError
from edge_fgir._files import sha256, to_json

SCHEMA = "edge-fgir/bundle/1"
MANIFEST = "manifest.json"

Runtime = Literal["openvino", "onnxruntime", "tensorrt"]
Precision = Literal["int8", "fp16", "fp32"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FileEntry(_Part):
    """One file of the bundle."""

    path: Annotated[str, Field(max_length=200, description="relative POSIX path")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0, description="bytes")]

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, value: str) -> str:
        path = PurePosixPath(value)
        unsafe = path.is_absolute() or ".." in path.parts or "\\" in value or ":" in value
        if unsafe or str(path) != value or value in (".", MANIFEST):
            raise ValueError(f"unsafe path {value!r}")
        return value


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
    classes: Annotated[int, Field(ge=2)]
    kind: Literal["probabilities"] = "probabilities"


class Normalization(_Part):
    """Channel mean and standard deviation (of values in 0..1) folded into the graph."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class DataInfo(_Part):
    """The data set the model was trained on."""

    name: str
    licence: str
    hash: Annotated[str, Field(description="SHA-256 over its file list, labels and splits")]


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
    target: str
    runtime: Runtime
    precision: Precision
    architecture: Annotated[str, Field(description="model name as timm registers it")]
    params: Annotated[int, Field(ge=0, description="parameters of the trained model")]
    model_file: str
    input: InputSpec
    output: OutputSpec
    normalization: Normalization
    data: DataInfo
    files: list[FileEntry]
    seal: Annotated[str, Field(description="SHA-256 over this text with an empty seal")] = ""

    @field_validator("files")
    @classmethod
    def _listed_once(cls, value: list[FileEntry]) -> list[FileEntry]:
        if len({entry.path for entry in value}) != len(value):
            raise ValueError("a path is listed twice")
        return value

    def dump(self) -> str:
        """Return the canonical text of ``manifest.json``."""
        return to_json(self.model_dump(mode="json", by_alias=True))

    @classmethod
    def parse(cls, text: bytes, source: str) -> Manifest:
        """Read ``manifest.json``.

        Raises:
            InputError: It is not valid, is of another schema, or its text is not canonical.
        """
        try:
            manifest = cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "text"
            raise InputError(
                f"{source}: {where}: {first['msg']}",
                f"schema {SCHEMA}",
                "export the bundle again or update edge-fgir",
            ) from error
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
