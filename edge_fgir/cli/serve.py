"""``edge-fgir serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_fgir.cli._app import app, echo, need
from edge_fgir.cli._choices import (
    DeviceOption,
    FloatPrecisionOption,
    ThreadsOption,
    TrustOption,
    engine_choice,
)
from edge_fgir.serving import ServeOptions


@app.command()
def serve(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder or zip.")],
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0: all of this machine's.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    precision: FloatPrecisionOption = None,
    trust: TrustOption = None,
    site: Annotated[
        Path | None,
        typer.Option(help="Site file (YAML): names, parents, priors and thresholds of classes."),
    ] = None,
    max_megabytes: Annotated[
        float, typer.Option(help=ServeOptions.help_of("max_megabytes"))
    ] = ServeOptions.max_megabytes,
    seconds: Annotated[
        float, typer.Option(help=ServeOptions.help_of("seconds"))
    ] = ServeOptions.seconds,
    waiting: Annotated[
        int, typer.Option(help=ServeOptions.help_of("waiting"))
    ] = ServeOptions.waiting,
    max_megapixels: Annotated[
        float, typer.Option(help=ServeOptions.help_of("max_megapixels"))
    ] = ServeOptions.max_megapixels,
) -> None:
    """Answer pictures over HTTP: POST /v1/predict with a picture file as the body. Ctrl-C ends it.

    There is no login, and nothing is encrypted: for other machines, put a server in front
    that does both. `/docs` describes the addresses, `/health` and `/metrics` are for machines.

    Example: `edge-fgir serve birds.fgir --port 8000`
    """
    need("fastapi", "serve", "serving a bundle over HTTP")
    need("uvicorn", "serve", "serving a bundle over HTTP")
    from edge_fgir.runtime import Classifier
    from edge_fgir.serving import listening, make_app, run_server

    place = engine_choice(device, threads, precision)
    options = ServeOptions(max_megabytes, seconds, waiting, max_megapixels)
    with (
        Classifier.open(bundle, place, trust, site=site) as model,
        listening(host, port) as sockets,
    ):
        echo(f"{bundle} answers at http://{host}:{port}/ in {model.info['engine']}", err=True)
        run_server(make_app(model, options), sockets, options.waiting)
