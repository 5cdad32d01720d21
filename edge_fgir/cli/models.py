"""``edge-fgir models``."""

from __future__ import annotations

from typing import Annotated

import typer

from edge_fgir.cli._app import JsonOption, app, need, print_json

_group = typer.Typer(help="Networks: names, parameters, multiply-accumulates, tokens.")
app.add_typer(_group, name="models", no_args_is_help=True)


@_group.command("list")
def list_models(
    pattern: Annotated[str, typer.Argument(help="timm name pattern; empty: ours.")] = "",
    json: JsonOption = False,
) -> None:
    """List our models, or those of timm that match a pattern.

    Example: `edge-fgir models list 'vit_tiny*'`
    """
    need("timm", "train", "models")
    import timm

    from edge_fgir.models import OWN_MODELS

    names = timm.list_models(pattern) if pattern else list(OWN_MODELS)
    if json:
        print_json(names)
        return
    for name in names:
        typer.echo(name)


@_group.command()
def show(
    name: Annotated[str, typer.Argument(help="timm name, ours included.")],
    num_classes: Annotated[int, typer.Option(min=1, help="Number of classes.")] = 1000,
    image_size: Annotated[int, typer.Option(min=32, help="Input side, pixels.")] = 224,
    attention_maps: Annotated[
        int, typer.Option(min=0, help="Above 0: a CAL teacher with that many maps.")
    ] = 0,
    json: JsonOption = False,
) -> None:
    """Count parameters, multiply-accumulates and tokens a block, for one image.

    Example: `edge-fgir models show lrnet14 --num-classes 200 --image-size 128`
    """
    need("timm", "train", "models")
    from edge_fgir.models import create_model, summarize
    from edge_fgir.models.arithmetic import CONVENTION

    model = create_model(
        name, num_classes, attention_maps=attention_maps, image_size=image_size, meta=True
    )
    summary = summarize(model, name, image_size, num_classes)
    if json:
        print_json(summary.to_dict())
        return
    typer.echo(
        f"{name}: {summary.params:,} parameters, {summary.gmacs:.3f} GMACs at {image_size} px, "
        f"{num_classes} classes"
    )
    typer.echo(f"  MACs: {CONVENTION}")
    for index, block in enumerate(summary.blocks):
        typer.echo(f"  block {index}: {block.attention_tokens} tokens, MLP {block.mlp_tokens}")
