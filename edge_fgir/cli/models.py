"""``edge-fgir models``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from edge_fgir._errors import InputError
from edge_fgir.cli._app import JsonOption, app, echo, need, print_json
from edge_fgir.cli._choices import KeepRateOption, keep_rate_choice

if TYPE_CHECKING:
    from edge_fgir.models.reduction import Reduction

_group = typer.Typer(help="Networks: names, parameters, multiply-accumulates, tokens.")
app.add_typer(_group, name="models", no_args_is_help=True)


@_group.command("list")
def list_models(
    pattern: Annotated[str, typer.Argument(help="timm name pattern; empty: a group.")] = "",
    group: Annotated[
        str, typer.Option(help="ours, or animesion: what was compared on DAF:re.")
    ] = "ours",
    json: JsonOption = False,
) -> None:
    """List our models or another group, or those of timm that match a pattern.

    Example: `edge-fgir models list 'vit_tiny*'`
    """
    need("timm", "train", "models")
    import timm

    from edge_fgir.models import GROUPS

    if group not in GROUPS:
        raise InputError(f"--group {group}", f"one of {', '.join(GROUPS)}")
    names = timm.list_models(pattern) if pattern else list(GROUPS[group])
    if json:
        print_json(names)
        return
    for name in names:
        echo(name)


@_group.command()
def show(
    name: Annotated[str, typer.Argument(help="timm name, ours included.")],
    num_classes: Annotated[int, typer.Option(min=1, help="Number of classes.")] = 1000,
    image_size: Annotated[
        int | None, typer.Option(min=32, help="Input side, pixels; default: the network's own.")
    ] = None,
    attention_maps: Annotated[
        int, typer.Option(min=0, max=512, help="Above 0: a CAL teacher with that many maps.")
    ] = 0,
    reduction: Annotated[
        str | None, typer.Option(help="Token reduction of a vision transformer: evit, topk, ...")
    ] = None,
    keep_rate: KeepRateOption = None,
    cla: Annotated[bool, typer.Option("--cla", help="Cross-layer aggregation head.")] = False,
    clc: Annotated[bool, typer.Option("--clc", help="Cross-layer cache, one token.")] = False,
    clca: Annotated[bool, typer.Option("--clca", help="Both.")] = False,
    reference_counts: Annotated[
        bool, typer.Option("--reference-counts", help="Let a stage keep no token at all.")
    ] = False,
    glsim: Annotated[
        bool, typer.Option("--glsim", help="A second look at a part of the picture: two passes.")
    ] = False,
    adapters: Annotated[
        str | None,
        typer.Option(help="Adapters of a frozen vision transformer: ila, ila+, ila++ or none."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Count parameters, multiply-accumulates and tokens a block, for one image.

    Example: `edge-fgir models show lrnet14 --num-classes 200 --image-size 128`
    Example: `edge-fgir models show vit_base_patch16_224 --reduction evit --keep-rate 0.5 --clca`
    Example: `edge-fgir models show vit_base_patch16_224 --glsim --num-classes 200`
    Example: `edge-fgir models show vit_base_patch16_224 --adapters ila++ --image-size 448`
    """
    need("timm", "train", "models")
    from edge_fgir.models import CONVENTION, Network, own_side, summarize
    from edge_fgir.models.glsim import GLSimOptions
    from edge_fgir.models.ila import Adapters

    network = Network(
        name=name,
        attention_maps=attention_maps,
        reduction=_reduction(reduction, keep_rate, cla or clca, clc or clca, reference_counts),
        glsim=GLSimOptions() if glsim else None,
        adapters=Adapters.checked(variant=adapters) if adapters is not None else None,
    )
    side = image_size or own_side(name)
    model = network.build(num_classes, side, meta=True)
    summary = summarize(model, name, side, num_classes)
    if json:
        print_json(asdict(summary))
        return
    echo(
        f"{name}: {summary.params:,} parameters, {summary.gmacs:.3f} GMACs at {side} px, "
        f"{num_classes} classes"
    )
    if summary.trainable_params < summary.params:
        echo(f"  trained: {summary.trainable_params:,} parameters, the others are frozen")
    echo(f"  MACs: {CONVENTION}")
    for index, block in enumerate(summary.blocks):
        echo(f"  block {index}: {block.attention_tokens} tokens, MLP {block.mlp_tokens}")


def _reduction(
    method: str | None, keep_rate: str | None, cla: bool, clc: bool, reference_counts: bool
) -> Reduction | None:
    from edge_fgir.models.reduction import Reduction

    rate = keep_rate_choice(keep_rate)
    if method is None and rate is None and not (cla or clc):
        return None
    return Reduction.checked(
        method=method or "none",
        keep_rate=1.0 if rate is None else rate,
        cla=cla,
        clr_tokens=int(clc),
        reference_counts=reference_counts,
    )
