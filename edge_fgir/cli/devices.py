"""``edge-fgir devices``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edge_fgir.cli._app import JsonOption, app, echo, print_json

if TYPE_CHECKING:
    from edge_fgir.benchmarking import Descriptor, Figure

_group = typer.Typer(help="Device descriptors: peaks, memory and where each figure is from.")
app.add_typer(_group, name="devices", no_args_is_help=True)


@_group.command("list")
def list_devices(json: JsonOption = False) -> None:
    """List the devices we describe.

    Example: `edge-fgir devices list`
    """
    from edge_fgir.benchmarking import device_names, read_device

    names = device_names()
    if json:
        print_json(names)
        return
    width = max(map(len, names))
    for name in names:
        device = read_device(name)
        echo(f"{name:<{width}}  {device.target:<8}  {device.name}")


@_group.command()
def show(
    device: Annotated[str, typer.Argument(help="Device id.")], json: JsonOption = False
) -> None:
    """Print one descriptor: its peaks, then every figure with its source and how sure it is.

    Example: `edge-fgir devices show raspberry-pi-5`
    """
    from edge_fgir.benchmarking import read_device

    descriptor = read_device(device)
    peaks = {mode: descriptor.peaks(mode) for mode in descriptor.power_modes}
    if json:
        print_json(
            descriptor.model_dump(mode="json")
            | {
                "peaks_tops": {
                    mode: {
                        unit: {precision: peak.model_dump() for precision, peak in made.items()}
                        for unit, made in units.items()
                    }
                    for mode, units in peaks.items()
                }
            }
        )
        return
    echo(f"{descriptor.id}: {descriptor.name}")
    echo(f"target {descriptor.target}; default power mode {descriptor.default_mode}\n")
    for unit, made in descriptor.units.items():
        echo(f"{unit}: {made.name}")
    echo("\ndense peaks")
    _table(
        [
            _row(f"{mode}: {unit} {precision}", "TOP/s", peak)
            for mode, units in peaks.items()
            for unit, made in units.items()
            for precision, peak in made.items()
        ]
    )
    if unknown := [mode for mode, units in peaks.items() if not units]:
        echo(f"  not known: {', '.join(unknown)}")
    echo("\nfigures")
    _table([_row(*figure) for figure in descriptor.figures()])
    _say(descriptor)


def _say(device: Descriptor) -> None:
    if device.headlines:
        echo("\nwhat the vendor advertises")
    for headline in device.headlines:
        kind = "sparse" if headline.sparse else "dense"
        note = f"; {headline.note}" if headline.note else ""
        echo(
            f"  {headline.mode}: {headline.unit} {headline.precision} {headline.value:g} TOP/s "
            f"{kind}  {headline.confidence} [{headline.source}{note}]"
        )
    echo("\nruntimes")
    for runtime in device.runtimes:
        versions = ", ".join(f"{name} {number}" for name, number in runtime.versions.items())
        note = f"; {runtime.note}" if runtime.note else ""
        echo(f"  {runtime.name}: {versions}  {runtime.confidence} [{runtime.source}{note}]")
    echo("\nsources")
    for key, text in device.sources.items():
        echo(f"  [{key}] {text}")


def _row(what: str, unit: str, figure: Figure) -> tuple[str, ...]:
    how = "; ".join(part for part in (figure.arithmetic, figure.note) if part)
    return what, f"{round(figure.value, 3):g}", unit, figure.confidence, f"[{figure.source}]", how


def _table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        what, value, *rest = row
        cells = [f"{what:<{widths[0]}}", f"{value:>{widths[1]}}"]
        cells += [f"{cell:<{width}}" for cell, width in zip(rest, widths[2:], strict=True)]
        echo(f"  {'  '.join(cells)}".rstrip())


@_group.command()
def match(json: JsonOption = False) -> None:
    """Say which descriptor fits this machine; `local` where none does.

    Example: `edge-fgir devices match`
    """
    from edge_fgir.benchmarking import match_device

    name = match_device()
    if json:
        print_json({"device": name})
        return
    echo(name)
