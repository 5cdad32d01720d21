"""A checkpoint of somebody else's training as named tensors and settings; no code of it is run."""

from __future__ import annotations

import argparse
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from edge_fgir._errors import InputError
from edge_fgir._files import regular
from edge_fgir.models import UNREADABLE

_WEIGHTS = ("model", "state_dict", "model_state_dict", "model_ema", "state_dict_ema", "ema")
"""Entries that hold the weights, in the order in which they are looked for: the authors evaluate
the plain weights, not their average."""

_CONFIG = ("config", "args", "hyper_parameters")

_WRAPPERS = re.compile(r"^(?:(?:module|_orig_mod|model)\.)+")
"""What DataParallel, torch.compile and the authors' own wrapper put in front of a name."""


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes:
        path: The file.
        sha256: Of its bytes.
        tensors: By the authors' names, without what wrappers put in front; float32.
        config: The training's settings, where the file says them.
    """

    path: Path
    sha256: str
    tensors: dict[str, Tensor]
    config: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """Read a ``.safetensors`` file, or what ``torch.save`` wrote.

        Optimisers, counters and the like are left out.

        Raises:
            InputError: The file is missing, damaged, needs code to be read, or holds no weights.
        """
        content = _content(regular(path, "a checkpoint, .pth or .safetensors"))
        weights = next((content[key] for key in _WEIGHTS if _tensors_in(content.get(key))), content)
        tensors: dict[str, Tensor] = {}
        for key, value in weights.items():
            if not isinstance(value, Tensor):
                continue
            name = _WRAPPERS.sub("", str(key))
            if name in tensors:
                raise InputError(f"{path} holds two tensors {name}", "one model's weights")
            tensors[name] = value.float() if value.is_floating_point() else value
        if not tensors:
            raise InputError(
                f"{path} holds no named tensors",
                f"weights, at the top or under one of {', '.join(_WEIGHTS)}",
            )
        config = next((each for key in _CONFIG if (each := _settings(content.get(key)))), {})
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(path, digest, tensors, config)


def _content(path: Path) -> dict[str, Any]:
    """Return what a file holds; only tensors and plain values are built from it."""
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        # A Namespace is a bag of values, and what argparse's users save.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        reason = str(error).splitlines()[0].split(". ")[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path} cannot be read as tensors and plain values ({reason})",
            "a .safetensors file, or a checkpoint without objects of other classes: "
            "code is never run from a file",
        ) from error
    if not isinstance(content, Mapping):
        raise InputError(f"{path} holds a {type(content).__name__}", "named tensors")
    return dict(content)


def _tensors_in(entry: object) -> bool:
    return isinstance(entry, Mapping) and any(isinstance(each, Tensor) for each in entry.values())


def _settings(entry: object) -> dict[str, Any]:
    """Return an entry of settings as plain values; nothing where it is none."""
    values = vars(entry) if isinstance(entry, argparse.Namespace) else entry
    return dict(values) if isinstance(values, Mapping) else {}
