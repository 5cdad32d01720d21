"""The weights that adapters stand on: named by source and hash, never stored twice."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor


class Base(BaseModel):
    """A frozen backbone's weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Annotated[str, Field(description="timm, or the path of a state dict")]
    sha256: Annotated[str, Field(description="of its tensors: names, types, shapes and values")]


def digest(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of named tensors, whatever the file that they lie in."""
    total = hashlib.sha256()
    for name, value in sorted(state.items()):
        total.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        plain = value.detach().cpu().contiguous().flatten()
        total.update(plain.view(torch.uint8).numpy().data)
    return total.hexdigest()
