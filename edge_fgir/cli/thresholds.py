"""``edge-fgir thresholds``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import edge_fgir
from edge_fgir.cli._app import JsonOption, app, echo, print_json
from edge_fgir.cli._choices import DeviceOption, TrustOption, choose, device_choice


@app.command()
def thresholds(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder or zip.")],
    data: Annotated[str, typer.Option(help="Folder, or a built-in name (elpv).")],
    out: Annotated[Path, typer.Option(help="Site file (YAML) to write.", dir_okay=False)],
    precision: Annotated[
        float, typer.Option(help="The share of answers that shall be right, such as 0.95.")
    ] = 0.95,
    split: Annotated[
        str, typer.Option(help="The pictures that decide: train, val or test.")
    ] = "val",
    site: Annotated[
        Path | None, typer.Option(help="Site file whose other settings are kept.")
    ] = None,
    device: DeviceOption = "auto",
    trust: TrustOption = None,
    json: JsonOption = False,
) -> None:
    """Write a site file with each class's least score for a stated precision.

    Example: `edge-fgir thresholds birds.fgir --data photos --precision 0.95 --out garden.yaml`
    """
    from edge_fgir.data import SPLITS
    from edge_fgir.runtime import Site

    part = choose("--split", split, SPLITS)
    known = None if site is None else Site.read(site)
    found = edge_fgir.fit_thresholds(
        bundle, data, precision, part, site=known, device=device_choice(device), trust=trust
    )
    found.write(out)
    if json:
        print_json(found.model_dump(mode="json", exclude_none=True))
        return
    scores = [info.threshold for info in found.labels.values() if info.threshold is not None]
    never = sum(score >= 1 for score in scores)
    echo(
        f"{out}: {len(scores)} classes answer from {min(scores):.3f} to {max(scores):.3f} on, "
        f"right in {100 * precision:g} % of the {split} pictures; {never} of them never"
    )
