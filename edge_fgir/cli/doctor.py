"""``edge-fgir doctor``."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from edge_fgir._errors import InputError
from edge_fgir.cli._app import JsonOption, app, print_json

_NEEDS = {
    "openvino": ("openvino", 'run: pip install "edge-fgir[openvino]"'),
    "arm": ("onnxruntime", 'run: pip install "edge-fgir[arm]"'),
    "jetson": (
        "tensorrt",
        "install JetPack's tensorrt (apt: python3-libnvinfer), and make the virtual environment "
        "with --system-site-packages",
    ),
}


@app.command()
def doctor(
    target: Annotated[str, typer.Option(help="Only this target.")] = "",
    json: JsonOption = False,
) -> None:
    """Say which targets' bundles run on this machine, and what the others lack.

    Example: `edge-fgir doctor --target jetson`
    """
    if target and target not in _NEEDS:
        raise InputError(f"unknown target {target!r}", f"one of {', '.join(_NEEDS)}")
    found = {name: _look(*_NEEDS[name]) for name in ([target] if target else _NEEDS)}
    if json:
        print_json({"targets": found})
    else:
        for name, state in found.items():
            mark = "ok      " if state["ok"] else "missing "
            typer.echo(f"{mark}{name}: {state['detail']}")
    raise typer.Exit(0 if all(state["ok"] for state in found.values()) or not target else 1)


def _look(library: str, remedy: str) -> dict[str, object]:
    try:
        return {"ok": True, "detail": f"{library} {version(library)}"}
    except PackageNotFoundError:
        return {"ok": False, "detail": f"{library} is not installed; {remedy}"}
