"""``edge-fgir push`` and ``pull``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_fgir.cli._app import JsonOption, app, echo, print_json
from edge_fgir.cli._choices import TrustOption

_Repository = Annotated[
    str, typer.Argument(help="Repository of models: user/name.", metavar="USER/NAME")
]


@app.command()
def push(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder or zip.")],
    repository: _Repository,
    public: Annotated[
        bool, typer.Option("--public", help="Let anyone read the repository, if it is new.")
    ] = False,
    trust: TrustOption = None,
    json: JsonOption = False,
) -> None:
    """Write a bundle with a card and its bill of materials to Hugging Face's hub.

    The bundle holds some of the validation pictures. Before anything is sent, every file is
    compared with its hash. Log in with `hf auth login`; `HF_ENDPOINT` names another hub.

    Example: `edge-fgir push birds.fgir someone/birds`
    """
    from edge_fgir.hub import push as run

    done = run(bundle, repository, public=public, trust=trust)
    if json:
        print_json(done._asdict())
        return
    echo(f"{', '.join(done.files)}: {done.url}")


@app.command()
def pull(
    repository: _Repository,
    out: Annotated[Path, typer.Option(help="Bundle zip to write, where nothing lies yet.")],
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit; otherwise the newest.")
    ] = None,
    trust: TrustOption = None,
    json: JsonOption = False,
) -> None:
    """Fetch a bundle from Hugging Face's hub; it is kept only if every file is as sealed.

    Example: `edge-fgir pull someone/birds --out birds.fgir`
    """
    from edge_fgir.hub import pull as run

    found = run(repository, out, revision=revision, trust=trust)
    manifest = found.manifest
    if json:
        print_json({"bundle": str(out), "name": manifest.name, "target": manifest.target})
        return
    echo(f"{out}: {manifest.name}, {manifest.precision} for {manifest.target}, all as sealed")
    if trust is None:
        echo(f"whose it is, nobody has said: edge-fgir verify {out} --trust PUB.pem", err=True)
