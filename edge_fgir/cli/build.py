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

    Of a bundle with variants, each has its own.

    Example: `edge-fgir build birds.fgir`
    """
    from edge_fgir.benchmarking import LOCAL, match_device, read_device
    from edge_fgir.runtime import Bundle
    from edge_fgir.runtime.runtimes.tensorrt.plan import device_plan

    device = match_device()
    spare = None if device == LOCAL else read_device(device).workspace_mb
    variants = Bundle(bundle, trust).variants
    found = [
        device_plan(
            variant,
            device_workspace_mb=None if spare is None else int(spare.value),
            force=force,
        )
        for variant in variants
    ]
    if json:
        first, *others = (
            {
                "state": "built" if each.built else "reused",
                "seconds": round(each.seconds, 3),
                "bytes": len(each.plan),
                "path": str(each.path),
                "workspace_mb": each.workspace_mb,
                "key": asdict(each.key),
                "variant": variant.variant,
            }
            for each, variant in zip(found, variants, strict=True)
        )
        print_json({**first, "others": others})
        return
    for each, variant in zip(found, variants, strict=True):
        which = "" if variant.variant is None else f"variant {variant.variant}: "
        made = f"built (workspace {each.workspace_mb} MiB)" if each.built else "reused"
        echo(f"{which}{made} in {each.seconds:.1f} s: {len(each.plan) / 1e6:.1f} MB, {each.path}")
