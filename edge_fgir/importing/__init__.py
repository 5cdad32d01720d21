"""Importing: what the papers' authors published, as run folders that the other commands take."""

from __future__ import annotations

from edge_fgir.importing.kinds import KINDS
from edge_fgir.importing.run import import_checkpoint

__all__ = ["KINDS", "import_checkpoint"]
