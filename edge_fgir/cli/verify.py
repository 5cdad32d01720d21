"""``edge-fgir verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_fgir._text import printable
from edge_fgir.cli._app import JsonOption, app, echo, print_json
from edge_fgir.cli._choices import DeviceOption, TrustOption, device_choice
from edge_fgir.cli._limits import limited


@app.command()
def verify(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder or zip.")],
    device: DeviceOption = "auto",
    trust: TrustOption = None,
    json: JsonOption = False,
) -> None:
    """Compare every file with its hash and replay the golden images on this machine.

    A signature is compared with the manifest too; only `--trust` says whose it is. A model that
    takes more than five minutes or 4 GiB of memory ends the command.

    Example: `edge-fgir verify birds.fgir --trust pub.pem`
    """
    from edge_fgir.runtime import verify as run

    checks = []
    with limited(printable(f"bundle {bundle}")):
        for check in run(bundle, device_choice(device), trust):
            checks.append(check)
            if not json:
                echo(f"{'ok    ' if check.ok else 'FAILED'}  {check.name}: {check.detail}")
    ok = all(check.ok for check in checks)
    if json:
        print_json({"ok": ok, "checks": [vars(check) for check in checks]})
    raise typer.Exit(0 if ok else 1)
