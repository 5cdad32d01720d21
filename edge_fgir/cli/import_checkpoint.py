"""``edge-fgir import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import edge_fgir
from edge_fgir.cli._app import JsonOption, app, echo, need, print_json


@app.command("import")
def import_(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint, .pth or .safetensors.")],
    kind: Annotated[
        str, typer.Option("--as", help="Whose it is: tgda, clca, glsim or ila.", metavar="KIND")
    ],
    labels: Annotated[Path, typer.Option(help="Class names in the outputs' order, one a line.")],
    out: Annotated[Path, typer.Option(help="Run folder to write.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="name=value of a setting that the file does not tell."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make a run folder of a checkpoint that a paper's authors published; no code in it is run.

    Example: `edge-fgir import lrnet14.pth --as tgda --labels labels.txt --out runs/lrnet14`
    """
    need("torch", "train", "importing weights")
    run = edge_fgir.import_checkpoint(checkpoint, kind, labels, out, changes=set_ or [])
    described = run.trained_as
    if json:
        print_json({"run": str(out), **described.model_dump(mode="json")})
        return
    before = described.preprocess
    echo(
        f"{out}: {described.network.name} for {described.num_classes} classes at {before.size} px, "
        f"from {checkpoint.name} ({kind})"
    )
