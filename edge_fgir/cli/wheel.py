"""``edge-fgir wheel``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_fgir.cli._app import JsonOption, app, echo, print_json


@app.command()
def wheel(
    out: Annotated[Path, typer.Option(help="Folder to write it into.")],
    json: JsonOption = False,
) -> None:
    """Write this package as a wheel, for a device that pip cannot reach a registry from.

    Example: `edge-fgir wheel --out wheels`
    """
    from edge_fgir._wheel import write_wheel

    path = write_wheel(out)
    if json:
        print_json({"path": str(path), "bytes": path.stat().st_size})
    else:
        echo(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
        echo(f'on the device: pip install --no-index --find-links {out} "edge-fgir[openvino]"')
