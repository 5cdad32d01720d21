"""``edge-fgir rank-teachers``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_fgir.cli._app import JsonOption, app, need, print_json
from edge_fgir.cli._choices import ConvertOption

if TYPE_CHECKING:
    from edge_fgir.training.ranking import Candidate

_WIDTH = 100
_NONE = "-"


@app.command("rank-teachers")
def rank_teachers(
    runs: Annotated[list[Path], typer.Argument(help="Run folders of candidate teachers.")],
    data: Annotated[str, typer.Option(help="The data they were trained on.")],
    images: Annotated[
        int | None, typer.Option(min=1, help="Look at so many training pictures; default: all.")
    ] = None,
    convert: ConvertOption = False,
    out: Annotated[Path | None, typer.Option(help="Also write the result file.")] = None,
    json: JsonOption = False,
) -> None:
    """Rank teachers before training a student: lowest Ratio 1-2 (arXiv 2605.15689) first.

    R12 is the mean of largest over second largest raw logit on the training pictures, skipped the
    share of pictures whose second is not positive; TAC is the top-1 on the validation split, SSP
    the spread of the 2nd to 4th largest probability.

    Example: `edge-fgir rank-teachers runs/teacher-a runs/teacher-b --data photos`
    """
    need("torch", "train", "rank-teachers")
    from edge_fgir.benchmarking import write_result
    from edge_fgir.data import open_data
    from edge_fgir.training.ranking import rank_teachers as rank

    pictures = open_data(data, convert=convert)
    found = rank(runs, pictures, images)
    answer = [{"rank": place, **one.to_dict()} for place, one in enumerate(found, 1)]
    if out is not None:
        body = {"data": pictures.info.model_dump(), "split": "train", "teachers": answer}
        write_result(out, "teachers", body)
    if json:
        print_json(answer)
    else:
        _print(found)
    methods = sorted({one.method for one in found})
    if len(methods) > 1:
        typer.echo(
            f"caution: trained by different methods ({', '.join(methods)}); "
            "compare only teachers trained with the same strategy",
            err=json,
        )
    if len(found) > 1 and not json:
        typer.echo("next: validate the top two by a short distillation each, then take the better")


def _print(found: list[Candidate]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("rank", "run", "architecture", "strategy"):
        table.add_column(name, overflow="fold")
    for name in ("R12", "skipped %", "TAC %", "SSP", "images"):
        table.add_column(name, justify="right", no_wrap=True)
    for place, one in enumerate(found, 1):
        cells = (
            f"{place}",
            one.run,
            one.architecture,
            one.method,
            _NONE if one.r12 is None else f"{one.r12:.3f}",
            f"{one.skipped:.1f}",
            f"{one.tac:.1f}",
            _NONE if one.ssp is None else f"{one.ssp:.4f}",
            f"{one.images}",
        )
        table.add_row(*map(Text, cells))
    width = Console().width if sys.stdout.isatty() else _WIDTH
    Console(width=min(width, _WIDTH)).print(table)
