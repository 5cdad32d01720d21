"""``edge-fgir devices``."""

from __future__ import annotations

from typing import Annotated

import typer

from edge_fgir.cli._app import JsonOption, app, print_json

_group = typer.Typer(help="Device descriptors: peaks, memory and where each figure is from.")
app.add_typer(_group, name="devices", no_args_is_help=True)


@_group.command("list")
def list_devices(json: JsonOption = False) -> None:
    """List the devices we describe.

    Example: `edge-fgir devices list`
    """
    from edge_fgir.benchmarking.devices import device_names, read_device

    names = device_names()
    if json:
        print_json(names)
        return
    for name in names:
        typer.echo(f"{name}: {read_device(name).name}")


@_group.command()
def show(
    device: Annotated[str, typer.Argument(help="Device id.")], json: JsonOption = False
) -> None:
    """Print one descriptor with the source and confidence of every figure.

    Example: `edge-fgir devices show raspberry-pi-5`
    """
    from edge_fgir.benchmarking.devices import read_device

    found = read_device(device)
    if json:
        print_json(found.model_dump(mode="json"))
        return
    typer.echo(f"{found.id}: {found.name}, target {found.target}")
    figures = {
        **{f"peak {name}": figure for name, figure in found.peaks.items()},
        "bandwidth GB/s": found.bandwidth_gbs,
        "memory GB": found.memory_gb,
        **({"workspace MiB": found.workspace_mb} if found.workspace_mb else {}),
    }
    for name, figure in figures.items():
        typer.echo(f"  {name}: {figure.value:g} ({figure.confidence}: {figure.source})")


@_group.command()
def match(json: JsonOption = False) -> None:
    """Say which descriptor fits this machine; `local` where none does.

    Example: `edge-fgir devices match`
    """
    from edge_fgir.benchmarking.devices import match_device

    found = match_device()
    if json:
        print_json({"device": found})
        return
    typer.echo(found)
