"""Animesion's networks: arXiv 2101.08674, docs/science/dafre.md#networks."""

from pathlib import Path

import pytest
import torch
import yaml

from edge_fgir.models import GROUPS, Network, count_params, summarize
from edge_fgir.models.animesion import MODELS
from edge_fgir.training import read_recipe

pytestmark = pytest.mark.unit

GOLDEN = yaml.safe_load((Path(__file__).parents[1] / "golden" / "dafre.yaml").read_text())
CASES = [
    (name, size, params)
    for name, figures in GOLDEN["models"].items()
    for size, params in figures["params"].items()
]


def test_the_list_is_the_papers() -> None:
    assert GROUPS["animesion"] == MODELS
    assert set(MODELS) == set(GOLDEN["models"])


@pytest.mark.parametrize(("name", "size", "params"), CASES)
def test_parameters_are_exact(name: str, size: int, params: int) -> None:
    model = Network(name=name).build(GOLDEN["classes"], size, meta=True)
    assert count_params(model) == params
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}


@pytest.mark.parametrize(
    ("name", "size", "gmacs"),
    [
        (name, size, gmacs)
        for name, figures in GOLDEN["models"].items()
        for size, gmacs in figures["gmacs"].items()
    ],
)
def test_multiply_accumulates_and_tokens(name: str, size: int, gmacs: float) -> None:
    classes = GOLDEN["classes"]
    model = Network(name=name).build(classes, size, meta=True)
    summary = summarize(model, name, size, classes)
    assert summary.gmacs == pytest.approx(gmacs, rel=0.01)
    tokens = GOLDEN["models"][name].get("tokens", {}).get(size)
    assert {block.attention_tokens for block in summary.blocks} == ({tokens} if tokens else set())


def test_the_shallow_network_is_built_for_one_size() -> None:
    model = Network(name="animesion_shallow").build(5, 64).eval()
    assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 5)
    assert model.forward_features(torch.zeros(1, 3, 64, 64)).shape == (1, 32, 13, 13)
    model.reset_classifier(0)
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 512)
    with pytest.raises(RuntimeError):
        model(torch.zeros(1, 3, 96, 96))


def test_the_command_lists_them(run_cli) -> None:
    assert run_cli("models", "list", "--group", "animesion").out.split() == list(MODELS)
    done = run_cli("models", "list", "--group", "anime")
    assert done.code == 2
    assert done.err == "error: --group anime; expected one of ours, animesion\n"
    shown = run_cli(
        "models",
        "show",
        "vit_base_patch32_224",
        "--num-classes",
        3263,
        "--image-size",
        128,
        "--json",
    ).json
    assert shown["params"] == GOLDEN["models"]["vit_base_patch32_224"]["params"][128]


@pytest.mark.parametrize("size", [128, 224])
def test_the_recipes_networks_are_timms(size: int) -> None:
    name = read_recipe(f"dafre-{size}").model.name
    model = Network(name=name).build(GOLDEN["classes"], size, meta=True)
    assert count_params(model) == GOLDEN["models"][name.split(".")[0]]["params"][size]
