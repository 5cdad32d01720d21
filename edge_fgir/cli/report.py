"""``edge-fgir report``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_fgir.cli._app import JsonOption, app, print_json
from edge_fgir.reporting.units import milliseconds

if TYPE_CHECKING:
    from rich.table import Table

    from edge_fgir.reporting import Report, Row

_WIDTH = 100


@app.command()
def report(
    out: Annotated[Path, typer.Option(help="HTML page to write.")],
    results: Annotated[
        list[Path] | None,
        typer.Argument(help="Result files of any kind.", metavar="RESULT.json...", show_default=""),
    ] = None,
    title: Annotated[str, typer.Option(help="Heading; empty: names the data.")] = "",
    json: JsonOption = False,
) -> None:
    """Draw one HTML page from results of train, eval, bench and predict.

    Example: `edge-fgir report runs/birds/summary.json eval.json bench.json --out report.html`
    """
    from edge_fgir.reporting import write_report

    page = write_report(results or [], out, title)
    if json:
        print_json({"report": str(out), "rows": [row.to_dict() for row in page.rows]})
        return
    _print(page, out)


def _print(page: Report, out: Path) -> None:
    from rich.console import Console

    terminal = Console().width if sys.stdout.isatty() else _WIDTH
    console = Console(width=min(terminal, _WIDTH), highlight=False)
    if page.rows:
        console.print(_table(page.rows))
        for row in page.rows:
            if row.note:
                typer.echo(f"{row.title}: {row.note}")
        typer.echo()
    if page.outcome:
        typer.echo(page.outcome)
    typer.echo(f"report: {out}")


def _table(rows: tuple[Row, ...]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", overflow="fold")
    for name in ("top-1 %", "vs torch", "macro %", "ECE", "MB"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("frame to decision\np50 / p99 ms", justify="right")
    table.add_column("network\np50 ms", justify="right", no_wrap=True)
    table.add_column("speed", justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in _cells(row)))
    return table


def _cells(row: Row) -> list[str]:
    found = row.evaluation
    return [
        row.title,
        f"{found.top1:.1f}" if found else "-",
        f"{row.change:+.1f}" if row.change is not None else "-",
        f"{found.macro:.1f}" if found else "-",
        f"{found.ece:.1f}" if found else "-",
        f"{row.model_bytes / 1e6:.1f}",
        _frame(row),
        _range(timing.network.p50_ms for timing in row.timings),
        _speed(row),
    ]


def _frame(row: Row) -> str:
    if row.is_torch:
        return "-"
    shown = [t.frame for t in row.timings if t.frame is not None]
    return (
        "\n".join(f"{milliseconds(f.p50_ms)} / {milliseconds(f.p99_ms)}" for f in shown)
        or "not measured"
    )


def _range(values: Iterable[float]) -> str:
    found = sorted(values)
    if not found:
        return "-"
    low, high = milliseconds(found[0]), milliseconds(found[-1])
    return low if low == high else f"{low}-{high}"


def _speed(row: Row) -> str:
    if row.is_torch:
        return "1 x"
    return f"{row.times_faster:.1f} x" if row.times_faster is not None else "-"
