"""``edge-fgir rank-teachers``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_fgir.cli._app import JsonOption, app, echo, need, print_json
from edge_fgir.cli._choices import StrictOption

if TYPE_CHECKING:
    from edge_fgir.results import RankedTeacher

_WIDTH = 100
_NONE = "-"


@app.command("rank-teachers")
def rank_teachers(
    runs: Annotated[list[Path], typer.Argument(help="Run folders of candidate teachers.")],
    data: Annotated[str, typer.Option(help="The data they were trained on.")],
    images: Annotated[
        int | None, typer.Option(min=1, help="Look at so many training pictures; default: all.")
    ] = None,
    strict: StrictOption = False,
    out: Annotated[
        Path | None, typer.Option(help="Also write the result file.", dir_okay=False)
    ] = None,
    json: JsonOption = False,
) -> None:
    """Rank teachers before training a student: lowest Ratio 1-2 (arXiv 2605.15689) first.

    R12 is the mean of largest over second largest raw logit on the training pictures, skipped the
    share of pictures whose second is not positive; TAC is the top-1 on the validation split, SSP
    the spread of the 2nd to 4th largest probability.

    Example: `edge-fgir rank-teachers runs/teacher-a runs/teacher-b --data photos`
    """
    need("torch", "train", "rank-teachers")
    from edge_fgir.data import open_data
    from edge_fgir.training import rank_teachers as rank

    pictures = open_data(data, strict=strict)
    result = rank(runs, pictures, images)
    if out is not None:
        result.write(out)
    if json:
        print_json([teacher.model_dump(mode="json") for teacher in result.teachers])
    else:
        _print(result.teachers)
    if len(result.methods) > 1:
        echo(
            f"caution: trained by different methods ({', '.join(result.methods)}); "
            "compare only teachers trained with the same strategy",
            err=json,
        )
    if len(result.teachers) > 1 and not json:
        echo("next: validate the top two by a short distillation each, then take the better")


def _print(teachers: Sequence[RankedTeacher]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("rank", "run", "architecture", "strategy"):
        table.add_column(name, overflow="fold")
    for name in ("R12", "skipped %", "TAC %", "SSP", "images"):
        table.add_column(name, justify="right", no_wrap=True)
    for teacher in teachers:
        cells = (
            f"{teacher.rank}",
            teacher.run,
            teacher.architecture,
            teacher.method,
            _NONE if teacher.r12 is None else f"{teacher.r12:.3f}",
            f"{teacher.skipped:.1f}",
            _NONE if teacher.tac is None else f"{teacher.tac:.1f}",
            _NONE if teacher.ssp is None else f"{teacher.ssp:.4f}",
            f"{teacher.images}",
        )
        table.add_row(*map(Text, cells))
    width = Console().width if sys.stdout.isatty() else _WIDTH
    Console(width=min(width, _WIDTH)).print(table)
