"""``edge-fgir doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_fgir.cli._app import JsonOption, app, echo, print_json

if TYPE_CHECKING:
    from edge_fgir.runtime import RuntimeSpec


@app.command()
def doctor(
    target: Annotated[str, typer.Option(help="Only this target.")] = "",
    json: JsonOption = False,
) -> None:
    """Say which targets' bundles run on this machine and on what, what the others lack, and which
    processors and cameras there are, as the system's own files tell.

    Example: `edge-fgir doctor --target jetson`
    """
    from edge_fgir.runtime import find_runtime, read_target_info, target_names

    targets = [read_target_info(name) for name in ([target] if target else target_names())]
    states = {info.name: _state(find_runtime(info.runtime)) for info in targets}
    for info in targets:
        others = [name for name in info.candidates if name != info.name]
        if others:
            states[info.name]["also"] = {
                name: find_runtime(read_target_info(name).runtime).version for name in others
            }
    machine = {} if target else _machine()
    if json:
        print_json({"targets": states, **({"machine": machine} if machine else {})})
    else:
        for name, state in states.items():
            mark = "ok      " if state["ok"] else "missing "
            echo(f"{mark}{name}: {state['detail']}{_also(state)}")
        for name, found in machine.items():
            echo(f"{name + ':':<14}{', '.join(map(_shown, found)) or 'none'}")
    raise typer.Exit(0 if all(state["ok"] for state in states.values()) or not target else 1)


def _also(state: dict[str, Any]) -> str:
    """Say which other targets' files a target's bundles may hold, and which run here."""
    found = [f"{name} {version or 'missing'}" for name, version in state.get("also", {}).items()]
    return f"; its bundles may hold files of {', '.join(found)} as well" if found else ""


def _state(runtime: RuntimeSpec) -> dict[str, Any]:
    ok = runtime.version is not None
    return {
        "ok": ok,
        "detail": f"{runtime.library} {runtime.version} (--device {', '.join(runtime.choices)})"
        if ok
        else f"{runtime.library} is not installed; {runtime.install}",
    }


def _machine() -> dict[str, list[Any]]:
    from edge_fgir.runtime.machine import cameras, gpus, instructions, npus, processor

    return {
        "processor": [processor()],
        "instructions": list(instructions()),
        "gpus": list(gpus()),
        "npus": list(npus()),
        "cameras": [camera._asdict() for camera in cameras()],
    }


def _shown(found: str | dict[str, Any]) -> str:
    if isinstance(found, str):
        return found
    needs = "" if found["usable"] else ", which this user may not open: join the group video"
    return f"{found['device']} ({found['name']}{needs})"
