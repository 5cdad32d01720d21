"""``edge-fgir verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_fgir._errors import InputError
from edge_fgir._limits import limited
from edge_fgir._text import printable
from edge_fgir.cli._app import JsonOption, app, echo, print_json
from edge_fgir.cli._choices import DeviceOption, TrustOption, device_choice


@app.command()
def verify(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder or zip.")],
    device: DeviceOption = "auto",
    trust: TrustOption = None,
    all_devices: Annotated[
        bool,
        typer.Option(
            "--all-devices",
            help="Replay and time them on every device there is, each in a process of its own.",
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Compare every file with its hash and replay the golden images on this machine.

    A signature is compared with the manifest too; only `--trust` says whose it is. A model that
    takes more than five minutes or 4 GiB of memory ends the command.

    With `--all-devices`, a driver that crashes, hangs or answers something else is reported, and
    `--device auto` is from then on the fastest device that was right. One must be.

    Example: `edge-fgir verify birds.fgir --trust pub.pem`
    Example: `edge-fgir verify birds.fgir --all-devices`
    """
    from edge_fgir.runtime import verify as run

    if all_devices:
        _sweep(bundle, device, trust, json=json)
        return
    checks = []
    with limited(printable(f"bundle {bundle}")):
        for check in run(bundle, device_choice(device), trust):
            checks.append(check)
            if not json:
                _say(check.name, ok=check.ok, detail=check.detail)
    ok = all(check.ok for check in checks)
    if json:
        print_json({"ok": ok, "checks": [vars(check) for check in checks]})
    raise typer.Exit(0 if ok else 1)


def _sweep(bundle: Path, device: str, trust: Path | None, *, json: bool) -> None:
    from edge_fgir.runtime import Bundle, sweep_devices

    if device != "auto":
        raise InputError(f"--device {device} with --all-devices", "one of the two")
    opened = Bundle(bundle, trust)
    checks = list(opened.check_files())
    if not json:
        for check in checks:
            _say(check.name, ok=check.ok, detail=check.detail)
    devices = []
    for found in sweep_devices(bundle, trust):
        devices.append(found)
        if not json:
            took = "" if found.p50_ms is None else f", p50 {found.p50_ms:.2f} ms"
            where = f" in {found.runtime}" if len(opened.manifest.runtimes) > 1 else ""
            _say(f"device {found.device}{where}", ok=found.ok, detail=f"{found.detail}{took}")
    ok = any(found.ok for found in devices)
    if json:
        told = [found.model_dump() for found in devices]
        print_json({"ok": ok, "checks": [vars(check) for check in checks], "devices": told})
    raise typer.Exit(0 if ok else 1)


def _say(name: str, *, ok: bool, detail: str) -> None:
    echo(f"{'ok    ' if ok else 'FAILED'}  {name}: {detail}")
