"""Draw the tables of ``docs/benchmarks.md`` from the committed results.

    python benchmarks/page.py            # the page, drawn anew
    python benchmarks/page.py tgda-30    # one table, printed

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``; what is around is written by
hand.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from tables import TABLES, Table

from edge_fgir._files import write_atomic

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"
REGION = re.compile(
    r"(?<=<!-- table: )(\S+)( -->\n\n)((?:(?!<!-- ).)+?)(?=\n\n<!-- end -->)", re.DOTALL
)


def draw(table: Table) -> str:
    """Return a table and, below it, what it rests on."""
    bodies = [json.loads((RESULTS / f"{name}.json").read_text()) for name in table.results]
    header, *rows = table.rows(*bodies)
    lines = [header, ["---"] * len(header), *rows]
    drawn = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    files = ", ".join(f"`{name}.json`" for name in table.results)
    facts = [
        f"Drawn from {files}; made by {table.made_by}.",
        f"Data: {table.data}.",
        f"Seeds: {table.seeds}.",
        f"Machine: {'; '.join(dict.fromkeys(_machine(body) for body in bodies))}.",
        f"Test pictures: {table.test_pictures}.",
    ]
    return f"{drawn}\n\n<small>{' '.join(facts)}</small>"


def _machine(body: dict[str, Any]) -> str:
    environment = body["environment"]
    parts = [part.values() if isinstance(part, dict) else part for part in body.values()]
    rows = [row for part in parts if not isinstance(part, str | int | float) for row in part]
    own = [row.get("environment", row) for row in rows if isinstance(row, dict)]
    dates = {each["date"][:10] for each in own if "date" in each}
    days = sorted(dates or {environment["date"][:10]})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    if "gpu" in environment:
        return f"{environment['gpu']}, {when}"
    known = environment.get("instructions")
    instructions = ", ".join(known) if known else "instructions not recorded"
    return f"{environment['processor']}, {environment['cpus']} cores ({instructions}), {when}"


def drawn_anew(text: str) -> str:
    """Return the page with every table as the results give it."""
    return REGION.sub(lambda found: f"{found[1]}{found[2]}{draw(TABLES[found[1]])}", text)


def main() -> None:
    """Draw the page anew, or print the tables that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[[], *TABLES])
    names = parser.parse_args().names
    for name in names:
        print(draw(TABLES[name]))
    if not names:
        write_atomic(PAGE, drawn_anew(PAGE.read_text()))


if __name__ == "__main__":
    main()
