"""``edge-fgir doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edge_fgir.cli._app import JsonOption, app, echo, print_json

if TYPE_CHECKING:
    from edge_fgir.runtime import RuntimeSpec


@app.command()
def doctor(
    target: Annotated[str, typer.Option(help="Only this target.")] = "",
    json: JsonOption = False,
) -> None:
    """Say which targets' bundles run on this machine and on what, and what the others lack.

    Example: `edge-fgir doctor --target jetson`
    """
    from edge_fgir.runtime import find_runtime, read_target_info, target_names

    targets = [read_target_info(name) for name in ([target] if target else target_names())]
    states = {info.name: _state(find_runtime(info.runtime)) for info in targets}
    if json:
        print_json({"targets": states})
    else:
        for name, state in states.items():
            echo(f"{'ok      ' if state['ok'] else 'missing '}{name}: {state['detail']}")
    raise typer.Exit(0 if all(state["ok"] for state in states.values()) or not target else 1)


def _state(runtime: RuntimeSpec) -> dict[str, object]:
    ok = runtime.version is not None
    return {
        "ok": ok,
        "detail": f"{runtime.library} {runtime.version} (--device {', '.join(runtime.choices)})"
        if ok
        else f"{runtime.library} is not installed; {runtime.install}",
    }
