"""``edge-fgir pack`` and ``unpack``: a bundle's two forms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_fgir.cli._app import JsonOption, app, echo, print_json
from edge_fgir.cli._choices import TrustOption

if TYPE_CHECKING:
    from edge_fgir.runtime import Bundle


_ENDINGS = (".fgir", ".zip")


@app.command()
def pack(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder.")],
    out: Annotated[
        Path | None, typer.Option(help="File to write; default: the bundle's name with .zip.")
    ] = None,
    trust: TrustOption = None,
    json: JsonOption = False,
) -> None:
    """Write a bundle folder as one uncompressed zip file, which every command takes as well.

    Every file is compared with its hash first. The same bundle gives the same bytes.

    Example: `edge-fgir pack birds.fgir --out birds.zip`
    """
    from edge_fgir.runtime import Bundle
    from edge_fgir.runtime import pack as write

    whole, path = Bundle(bundle, trust), out or _named(bundle, ".zip")
    write(whole, path)
    _tell(whole, path, path.stat().st_size, json=json)


@app.command()
def unpack(
    bundle: Annotated[Path, typer.Argument(help="Bundle zip.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; default: the bundle's name with .fgir.")
    ] = None,
    trust: TrustOption = None,
    json: JsonOption = False,
) -> None:
    """Write a bundle zip as a folder. Every file is compared with its hash first.

    Example: `edge-fgir unpack birds.zip --out birds.fgir`
    """
    from edge_fgir.runtime import Bundle
    from edge_fgir.runtime import unpack as write

    whole, path = Bundle(bundle, trust), out or _named(bundle, ".fgir")
    write(whole, path)
    _tell(whole, path, whole.size, json=json)


def _named(bundle: Path, ending: str) -> Path:
    """Return the bundle's path with another ending; of ``.`` and ``..`` by its real name.

    A dot in a name is no ending: ``birds-0.5`` and ``birds-0.7`` are two bundles.
    """
    path = bundle if bundle.name not in ("", "..") else bundle.resolve()
    stem = path.stem if path.suffix in _ENDINGS else path.name
    return path.with_name(f"{stem}{ending}")


def _tell(bundle: Bundle, path: Path, size: int, *, json: bool) -> None:
    files = len(bundle.manifest.files)
    if json:
        print_json({"path": str(path), "bytes": size, "files": files})
    else:
        echo(f"{path}: {files} files, {size / 1e6:.1f} MB, all as sealed")
