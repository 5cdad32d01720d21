"""``edge-fgir sweep``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_fgir.cli._app import JsonOption, app, echo, need, print_json

if TYPE_CHECKING:
    from edge_fgir.results import SweepGroup
    from edge_fgir.sweeping import Outcome

_WIDTH = 100
_NONE = "-"


@app.command()
def sweep(
    file: Annotated[Path, typer.Argument(help="Sweep file.", metavar="SWEEP.yaml")],
    out: Annotated[Path, typer.Option(help="Folder for the cells and the result.")],
    address: Annotated[
        str,
        typer.Option(
            help="Of a Ray cluster, such as 10.0.0.1:6379; FILE's data, --out and teachers must "
            "lie on storage that all its machines see under one path. Default: this machine."
        ),
    ] = "",
    no_latency: Annotated[
        bool, typer.Option("--no-latency", help="Do not measure milliseconds.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Train every cell of a sweep on Ray, then print a table and draw the Pareto front.

    The file names a recipe, data, seeds, and changes to the recipe: `set` (all cells), `grid` (all
    combinations of values) and `list` (one row after another). Finished cells are kept, interrupted
    ones go on, failed ones are tried again: run the same command again, or extend the file first.
    Paths inside a recipe, such as teacher.run, are meant from the working folder.

    Example: `edge-fgir sweep sweep.yaml --out runs/sweep`
    """
    need("ray", "sweep", "sweep")
    need("torch", "train", "sweep")
    need("jinja2", "report", "the report")
    from edge_fgir.sweeping import REPORT, run_sweep

    def show(outcome: Outcome) -> None:
        echo(_line(outcome), err=json)

    # Ray says on standard output that a worker was lost; with --json that is for the result alone.
    spoken = redirect_stdout(sys.stderr) if json else nullcontext()
    try:
        with spoken:
            result = run_sweep(file, out, address=address, latency=not no_latency, on_outcome=show)
    except KeyboardInterrupt:
        echo("interrupted; the same command goes on from here", err=True)
        raise
    failed, count = len(result.failed), len(result.cells)
    if json:
        print_json(result.to_dict())
    else:
        _print(result.groups)
        for reason in dict.fromkeys(group.ms_note for group in result.groups if group.ms_note):
            echo(f"no ms: {reason}")
        echo(f"{count - failed} of {count} cells finished")
        echo(f"report: {out / REPORT}")
    if failed:
        echo(f"{failed} failed; the same command tries them again", err=True)
        raise typer.Exit(1)


def _line(outcome: Outcome) -> str:
    cell = outcome.cell
    if outcome.result is None:
        return f"{cell.key} {cell.label}: failed: {outcome.reason}"
    return f"{cell.key} {cell.label}: top-1 {outcome.result.top1:.1f} %"


def _print(groups: Sequence[SweepGroup]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from edge_fgir.sweeping import changes_text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    several = len({group.data for group in groups}) > 1
    for name in ("data", "setting") if several else ("setting",):
        table.add_column(name, overflow="fold")
    for name in ("seeds", "top-1 %", "sd", "macro %", "GMACs", "params M", "ms"):
        table.add_column(name, justify="right", no_wrap=True)
    for group in groups:
        cells = (
            *([group.data] if several else []),
            changes_text(group.changes),
            f"{group.n} of {group.n + group.failed}" if group.failed else f"{group.n}",
            _number(group.top1, 2),
            _number(group.sd, 2),
            _number(group.macro, 2),
            _number(group.gmacs, 3),
            _NONE if group.params is None else f"{group.params / 1e6:.2f}",
            _number(group.ms, 2),
        )
        table.add_row(*map(Text, cells))
    width = Console().width if sys.stdout.isatty() else _WIDTH
    Console(width=min(width, _WIDTH)).print(table)


def _number(value: float | None, digits: int) -> str:
    return _NONE if value is None else f"{value:.{digits}f}"
