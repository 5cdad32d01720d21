"""The main rows as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from edge_fgir.reporting import columns
from edge_fgir.reporting.rows import Row


def terminal_table(rows: Sequence[Row]) -> Table:
    """Return the rows as a table of at most 100 columns, where titles are not long."""
    shown = [column for column in columns.COLUMNS if column.heading]
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    drawn.add_column("model", overflow="fold")
    for column in shown:
        # A heading of several lines may be broken further.
        drawn.add_column(column.heading, justify="right", no_wrap=column.needs != "timings")
    for row in rows:
        drawn.add_row(Text(row.title), *(Text(column.plain(row)) for column in shown))
    return drawn
