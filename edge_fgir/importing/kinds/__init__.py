"""The kinds of checkpoints, a module each: settings, names of tensors, and how they are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_fgir.importing.checkpoint import Checkpoint
from edge_fgir.importing.kinds import clca, glsim, ila, tgda
from edge_fgir.importing.reading import Reading
from edge_fgir.importing.settings import Settings


@dataclass(frozen=True)
class Kind:
    """One family of published checkpoints.

    Attributes:
        settings: What its tensors do not tell.
        read: Understands a checkpoint under such settings.
    """

    settings: type[Settings]
    read: Callable[[Checkpoint, Any], Reading]


KINDS: dict[str, Kind] = {
    "tgda": Kind(tgda.TGDASettings, tgda.read),
    "clca": Kind(clca.CLCASettings, clca.read),
    "glsim": Kind(glsim.GLSimSettings, glsim.read),
    "ila": Kind(ila.ILASettings, ila.read),
}
"""By the name that ``--as`` takes."""

__all__ = ["KINDS", "Kind"]
