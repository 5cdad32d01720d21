"""``edge-fgir build``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from edge_fgir.cli._app import JsonOption, app, echo, print_json
from edge_fgir.cli._choices import TrustOption


@app.command()
def build(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder or zip for target jetson.")],
    trust: TrustOption = None,
    force: Annotated[bool, typer.Option("--force", help="Build even if there is one.")] = False,
    json: JsonOption = False,
) -> None:
    """Compile a Jetson bundle's engine with the TensorRT of this machine, and keep it.

    Example: `edge-fgir build birds.fgir`
    """
    from edge_fgir.benchmarking import LOCAL, match_device, read_device
    from edge_fgir.runtime import Bundle
    from edge_fgir.runtime.runtimes.tensorrt.plan import device_plan

    device = match_device()
    spare = None if device == LOCAL else read_device(device).workspace_mb
    found = device_plan(
        Bundle(bundle, trust),
        device_workspace_mb=None if spare is None else int(spare.value),
        force=force,
    )
    if json:
        print_json(
            {
                "state": "built" if found.built else "reused",
                "seconds": round(found.seconds, 3),
                "bytes": len(found.plan),
                "path": str(found.path),
                "workspace_mb": found.workspace_mb,
                "key": asdict(found.key),
            }
        )
        return
    made = f"built (workspace {found.workspace_mb} MiB)" if found.built else "reused"
    echo(f"{made} in {found.seconds:.1f} s: {len(found.plan) / 1e6:.1f} MB, {found.path}")
