"""``edge-fgir train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_fgir._progress import first_process
from edge_fgir.cli._app import JsonOption, app, echo, need, print_json
from edge_fgir.cli._choices import AcceptDataChangeOption, StrictOption


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Shipped recipe or YAML file.")],
    data: Annotated[str, typer.Option(help="Folder, or a built-in name (elpv).")],
    out: Annotated[Path, typer.Option(help="Run folder to write.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, such as optimizer.lr=1e-3.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted run.")
    ] = False,
    accept_data_change: AcceptDataChangeOption = False,
    strict: StrictOption = False,
    json: JsonOption = False,
) -> None:
    """Train a teacher (CAL) or a student (TGDA, KD, CE) by a recipe.

    Example: `edge-fgir train elpv-demo-teacher --data elpv --out runs/teacher`
    """
    need("torch", "train", "training")
    from edge_fgir.data import open_data
    from edge_fgir.training import read_recipe
    from edge_fgir.training import train as run

    plan = read_recipe(recipe, set_ or [])
    pictures = open_data(data, strict=strict)
    result = run(plan, pictures, out, resume=resume, accept_data_change=accept_data_change)
    if not first_process():
        return
    echo(f"data {pictures.name}: {pictures.licence}", err=True)
    if json:
        fields = result.to_dict()
        print_json({name: value for name, value in fields.items() if name != "history"})
        return
    echo(
        f"{out}: {result.architecture} by {result.method}, {result.epochs} epochs in "
        f"{result.seconds / 60:.1f} min, validation top-1 {result.val_top1:.1f} %, "
        f"macro {result.val_macro:.1f} %"
    )
    if (cache := result.teacher_cache) is not None:
        echo(
            f"teacher cache {cache.folder}: {cache.variants} draws of the augmentation, "
            f"{cache.bytes / 1e6:.1f} MB"
        )
