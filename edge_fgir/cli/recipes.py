"""``edge-fgir recipes``."""

from __future__ import annotations

from typing import Annotated

import typer

from edge_fgir._yaml import read_yaml
from edge_fgir.cli._app import JsonOption, app, echo, need, print_json

_group = typer.Typer(help="Training recipes that come with the package.")
app.add_typer(_group, name="recipes", no_args_is_help=True)


@_group.command("list")
def list_recipes(json: JsonOption = False) -> None:
    """List the shipped recipes.

    Example: `edge-fgir recipes list`
    """
    from edge_fgir import _resources

    names = _resources.names("recipes")
    if json:
        print_json(names)
        return
    for name in names:
        about = read_yaml(_resources.folder("recipes") / f"{name}.yaml").get("about", "")
        echo(f"{name}: {' '.join(about.split())}")


@_group.command()
def show(
    recipe: Annotated[str, typer.Argument(help="Shipped recipe or YAML file.")],
    json: JsonOption = False,
) -> None:
    """Print a recipe with every default filled in.

    Example: `edge-fgir recipes show elpv-demo-student`
    """
    need("torch", "train", "recipes show")
    from edge_fgir.training import read_recipe

    found = read_recipe(recipe)
    if json:
        print_json(found.model_dump(mode="json"))
        return
    echo(found.dump(), nl=False)
