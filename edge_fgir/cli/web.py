"""``edge-fgir web``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_fgir.cli._app import JsonOption, app, echo, print_json
from edge_fgir.cli._choices import TrustOption

_MB = 1e6


@app.command()
def web(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder or zip for target web.")],
    serve: Annotated[
        bool, typer.Option("--serve", help="Show the page to browsers on this machine.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="To serve on; 0: any that is free.")
    ] = 8000,
    trust: TrustOption = None,
    json: JsonOption = False,
) -> None:
    """Say what a browser loads of a bundle that is a page, or show it for a first look.

    Any web host shows the folder to others: copy it there, and open it by https.

    Example: `edge-fgir web birds.fgir --serve`
    """
    from edge_fgir.runtime import Bundle, page_entries, page_server

    opened = Bundle(bundle, trust)
    entries = page_entries(opened)
    if not serve:
        total = sum(entry.size for entry in entries)
        if json:
            files = [{"path": entry.path, "bytes": entry.size} for entry in entries]
            print_json({"bundle": str(bundle), "bytes": total, "files": files})
            return
        for entry in entries:
            echo(f"{entry.size / _MB:8.3f} MB  {entry.path}")
        echo(f"{total / _MB:8.3f} MB  in all; a browser loads one build of LiteRT, once")
        return
    with page_server(opened, port) as server:
        address = f"http://localhost:{server.server_port}/"
        if json:
            print_json({"bundle": str(bundle), "url": address})
        else:
            echo(f"{address} shows {bundle}, to this machine alone, until Ctrl-C")
        server.serve_forever()
