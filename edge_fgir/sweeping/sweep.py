"""The sweep file: which trainings are run."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations, product
from pathlib import Path
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)

from edge_fgir._refusal import validated
from edge_fgir._yaml import read_yaml
from edge_fgir.data import Split
from edge_fgir.runs import LARGEST_SEED

Key = Annotated[str, StringConstraints(pattern=r"^\w+(\.\w+)*$")]
Changes = dict[Key, JsonValue]
"""Values by dotted recipe key, as ``--set`` of ``edge-fgir train`` takes them."""


class Sweep(BaseModel):
    """One training for each data set, seed, row of ``list`` and point of ``grid``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[\w.-]+$", description="heads the report")]
    recipe: Annotated[str, Field(description="shipped recipe, or file from this file's folder")]
    data: Annotated[
        tuple[str, ...],
        BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
        Field(min_length=1, description="folders from this file's folder, or built-in names"),
    ]
    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0, le=LARGEST_SEED)], ...],
        Field(min_length=1, description="each cell is trained once with each"),
    ] = (0,)
    split: Annotated[Split, Field(description="what is evaluated on")] = "test"
    fixed: Annotated[
        Changes, Field(alias="set", description="changes of all cells, by dotted recipe key")
    ] = {}
    grid: Annotated[
        dict[Key, Annotated[tuple[JsonValue, ...], Field(min_length=1)]],
        Field(min_length=1, description="values to try by dotted recipe key, in all combinations"),
    ] = {}
    rows: Annotated[
        tuple[Changes, ...],
        Field(alias="list", min_length=1, description="changes that are tried one after another"),
    ] = ({},)
    cpus: Annotated[int, Field(ge=1, description="cores of each cell")] = 1
    gpus: Annotated[
        float, Field(ge=0, description="GPUs of each cell; a part: several share one; 0: none")
    ] = 0

    @model_validator(mode="after")
    def _consistent(self) -> Sweep:
        if self.gpus > 1 and self.gpus % 1:
            raise ValueError(f"gpus {self.gpus:g} is neither whole nor a part of one")
        in_rows = dict.fromkeys(chain.from_iterable(self.rows))
        keys = [*self.fixed, *in_rows, *self.grid]
        if "seed" in keys:
            raise ValueError("seed is changed by seeds")
        for first, second in combinations(sorted(keys), 2):
            if first == second:
                raise ValueError(f"{first} is in two of set, list and grid")
            if second.startswith(f"{first}."):
                raise ValueError(f"{second} lies in {first}, which is changed too")
        return self

    def changes(self) -> Iterator[Changes]:
        """Yield what sets the cells apart: every row with every point of the grid."""
        for row in self.rows:
            for values in product(*self.grid.values()):
                yield {**row, **dict(zip(self.grid, values, strict=True))}


def read_sweep(path: Path) -> Sweep:
    """Read a sweep file.

    Raises:
        InputError: It is missing, or a key or value is wrong.
    """
    values = read_yaml(path)
    return validated(Sweep, values, f"sweep {path}", "a legal key and value")
