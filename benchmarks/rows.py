"""Result files that grow by rows: what they have of others stays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_fgir._files import write_json
from edge_fgir.benchmarking import environment


def keep(out: Path, part: str, row: dict[str, Any], key: Sequence[str]) -> None:
    """Write a row to the result file, in place of the one with the same key."""
    body: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    here = environment().model_dump(mode="json")
    row = {**row, **{name: here[name] for name in ("date", "instructions")}}
    others = [one for one in body.get(part, ()) if any(one[name] != row[name] for name in key)]
    body |= {"schema": "edge-fgir/benchmark/1", part: [*others, row], "environment": here}
    write_json(out, body)
