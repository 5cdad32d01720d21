"""``edge-fgir report``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_fgir.cli._app import JsonOption, app, echo, print_json

if TYPE_CHECKING:
    from edge_fgir.reporting import Report

_WIDTH = 100


@app.command()
def report(
    out: Annotated[Path, typer.Option(help="HTML page to write.")],
    results: Annotated[
        list[Path] | None,
        typer.Argument(help="Result files of any kind.", metavar="RESULT.json"),
    ] = None,
    title: Annotated[str, typer.Option(help="Heading; empty: names the data.")] = "",
    pictures: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="Also show pictures of this folder; else only those below the current folder and "
            "below a result's.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Draw one HTML page from results of train, eval, bench, profile, sweep and others.

    Example: `edge-fgir report runs/birds/summary.json eval.json bench.json --out report.html`
    """
    from edge_fgir.reporting import row_values, write_report

    page = write_report(results or [], out, title, pictures or [])
    if json:
        print_json({"report": str(out), "rows": [row_values(row) for row in page.rows]})
        return
    _print(page)
    echo(f"report: {out}")


def _print(page: Report) -> None:
    from rich.console import Console

    from edge_fgir.reporting import terminal_table

    width = Console().width if sys.stdout.isatty() else _WIDTH
    if page.rows:
        Console(width=min(width, _WIDTH)).print(terminal_table(page.rows))
    for row in page.rows:
        if row.note:
            echo(f"{row.title}: {row.note}")
    if page.outcome:
        echo(page.outcome)
    if lost := sum(gallery.lost for gallery in page.galleries):
        echo(
            f"pictures not found: {lost}; where they lie elsewhere, add --pictures FOLDER", err=True
        )
