from pathlib import Path

import pytest
import yaml

from edge_fgir import _resources
from edge_fgir.sweeping.sweep import read_sweep
from edge_fgir.training import read_recipe

pytestmark = pytest.mark.unit

FILES = sorted((_resources.folder("recipes") / "sweeps").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_cell_of_a_shipped_sweep_is_a_recipe(file: Path) -> None:
    sweep = read_sweep(file)
    for changes in sweep.changes():
        wanted = {**sweep.fixed, **changes}
        read_recipe(sweep.recipe, [f"{key}={_yaml(value)}" for key, value in wanted.items()])


def test_some_are_shipped() -> None:
    assert {file.stem for file in FILES} >= {"clca-leaves", "cub_100-keep_rates"}


def _yaml(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("\n...\n").strip()
