"""``edge-fgir bom``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_fgir.cli._app import app, echo, print_json
from edge_fgir.cli._choices import TrustOption


@app.command()
def bom(
    bundle: Annotated[
        Path | None,
        typer.Argument(help="Bundle folder or zip; without one: this package as it is installed."),
    ] = None,
    trust: TrustOption = None,
    out: Annotated[Path | None, typer.Option(help="Write it to a file.")] = None,
) -> None:
    """Print the bill of materials of a bundle or of the installed package, CycloneDX 1.6 JSON.

    A bundle's has the model's card: data with fingerprint and licence, accuracy, limits, where the
    weights came from. The package's lists the installed libraries with versions and licences.

    Example: `edge-fgir bom birds.fgir --out birds.cdx.json`
    Example: `edge-fgir bom --out edge-fgir.cdx.json`
    """
    from edge_fgir._files import write_json
    from edge_fgir.describing import bill_of_software, read_bill
    from edge_fgir.runtime import Bundle

    found = bill_of_software() if bundle is None else read_bill(Bundle(bundle, trust))
    if out is None:
        print_json(found)
        return
    write_json(out, found)
    echo(f"bill of materials: {out}")
