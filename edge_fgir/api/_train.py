"""Training by a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_fgir.api._data import Data, data_set
from edge_fgir.runs import Recipe, Run, read_recipe
from edge_fgir.training import train as train_run


def train(
    recipe: Recipe | Path | str,
    data: Data,
    out: Path | str,
    *,
    changes: Sequence[str] = (),
    resume: bool = False,
    accept_data_change: bool = False,
    strict: bool = False,
) -> Run:
    """Train a teacher or a student by a recipe, as ``edge-fgir train`` does.

    Example::

        import edge_fgir as ef

        run = ef.train("recipe.yaml", "photos", "runs/student", changes=["epochs=2"])
        print(run.labels, run.description.network.name)

    Args:
        recipe: A shipped recipe's name, a YAML file, or a recipe that has been read.
        data: A folder of photographs, a built-in name, or an open data set.
        out: The run folder to write.
        changes: ``key=value`` texts that change a recipe which is read here.
        resume: Go on with an interrupted run.
        accept_data_change: Go on with other pictures of the same classes, from the last whole
            epoch.
        strict: Refuse pictures that cannot be used, or would have to be converted.

    Raises:
        InputError: Recipe and data do not go together, or ``out`` holds another run, or
            one of other data.
    """
    plan = recipe if isinstance(recipe, Recipe) else read_recipe(str(recipe), changes)
    pictures = data_set(data, strict=strict)
    train_run(plan, pictures, Path(out), resume=resume, accept_data_change=accept_data_change)
    return Run.open(Path(out))
