"""Targets, as far as a device knows them: one folder each, with ``target.yaml`` in it."""

from __future__ import annotations

import difflib
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from edge_fgir import _resources
from edge_fgir._errors import InputError
from edge_fgir._files import read_utf8
from edge_fgir._refusal import validated
from edge_fgir._yaml import read_yaml

_FILE = "target.yaml"
_registered: dict[str, Path] = {}


class TargetInfo(BaseModel):
    """What there is to know about a target without the exporter's libraries."""

    model_config = ConfigDict(frozen=True)

    name: str
    about: str
    runtime: str
    ops: Annotated[tuple[str, ...], Field(description="ONNX operators the float graph may use")]
    deployed_ops: Annotated[
        tuple[str, ...],
        Field(
            description="more that the bundle's model file may use: operators, or an IR's layers"
        ),
    ] = ()
    candidates: Annotated[
        dict[str, str],
        Field(
            description="precision by target: what its bundles may hold files for, its own among "
            "them; where bench has not measured, the first that is installed is opened"
        ),
    ] = {}


AnyTarget = TypeVar("AnyTarget", bound=TargetInfo)


def register_target(folder: Path) -> None:
    """Add a target that is not shipped: a folder of its name that holds ``target.yaml``.

    Raises:
        InputError: The file is missing or invalid.
    """
    _read(TargetInfo, folder.name, folder)
    _registered[folder.name] = folder
    operators_of.cache_clear()


def forget_target(name: str) -> None:
    """Undo :func:`register_target`."""
    _registered.pop(name, None)
    operators_of.cache_clear()


def target_names() -> list[str]:
    """Return the names of all targets, shipped and registered."""
    return sorted({*_resources.names("export", f"*/{_FILE}"), *_registered})


def read_target_as(kind: type[AnyTarget], name: str) -> AnyTarget:
    """Read one target as ``kind``.

    Raises:
        InputError: There is no such target, or its file is invalid.
    """
    known = target_names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise InputError(
            f"unknown target {name!r}",
            f"one of {', '.join(known)}",
            f"did you mean {near[0]}?" if near else "",
        )
    return _read(kind, name, target_folder(name))


def target_folder(name: str) -> Path:
    """Return the folder of a target that is known."""
    return _registered.get(name, _resources.folder("export") / name)


def read_target_info(name: str) -> TargetInfo:
    """Read what a device knows of a target; see :func:`read_target_as`."""
    return read_target_as(TargetInfo, name)


def _read(kind: type[AnyTarget], name: str, folder: Path) -> AnyTarget:
    path = folder / _FILE
    values: dict[str, Any] = {"name": name, **read_yaml(path)}
    return validated(kind, values, path, "a target")


@cache
def operators_of(runtime: str) -> frozenset[str]:
    """Return what the model files of all targets of a runtime may use."""
    # A file that does not name the runtime is of another: parsing it would take a camera's start
    # 15 ms.
    names = (name for name in target_names() if runtime in read_utf8(target_folder(name) / _FILE))
    targets = (read_target_info(name) for name in names)
    listed = [{*one.ops, *one.deployed_ops} for one in targets if one.runtime == runtime]
    return frozenset().union(*listed)
