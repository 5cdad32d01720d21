"""An imported network answers as the authors' does: our modules against plain arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from authors import CLASSES, Maker, State
from authors_cnn import (
    cal_full,
    cal_look,
    make_cal,
    make_residual,
    make_vitfs,
    residual_features,
    student,
    vitfs_features,
)
from authors_vit import CLCA, glsim, glsim_port, ila, make_clca, make_glsim, make_ila
from torch import Tensor

from edge_fgir.importing import import_checkpoint
from edge_fgir.models import full_inference
from edge_fgir.runs import Run

pytestmark = pytest.mark.unit

DIM, DEPTH, GRID = 64, 6, 6
SIDE = 16 * GRID
BLOCKS = (1, 2, 3)


@pytest.fixture
def imported(tmp_path: Path) -> Callable[..., Run]:
    """Return a function that imports a state dict as the authors' trainers save it."""

    def make(state: State, kind: str, *changes: str, **config: Any) -> Run:
        torch.save({"model": state, "config": config, "epoch": 49}, tmp_path / "last.pth")
        (tmp_path / "labels.txt").write_text("".join(f"class {i}\n" for i in range(CLASSES)))
        files = (tmp_path / "labels.txt", tmp_path / "run")
        return import_checkpoint(tmp_path / "last.pth", kind, *files, changes)

    return make


def pictures(side: int = SIDE, count: int = 2) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(5))


def assert_same(run: Run, wanted: Tensor, side: int = SIDE) -> None:
    assert run.description.preprocess.size == side
    with torch.inference_mode():
        found = run.load()(pictures(side))
    assert wanted.std() > 0.05  # else nearly anything would agree
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "depths", "bottleneck", "deep"),
    [
        ("lrnet14", (1, 2, 1, 1, 1), False, False),
        ("lrnet26", (2, 2, 2, 1, 1), True, False),
        ("lrnet14d", (1, 2, 1, 1, 1), False, True),
        ("resnet18", (2, 2, 2, 2), False, False),
    ],
)
@pytest.mark.parametrize("around", ["dfsm", "head"])
def test_tgdas_convolutional_students(
    imported: Callable[..., Run],
    name: str,
    depths: tuple[int, ...],
    bottleneck: bool,
    deep: bool,
    around: str,
) -> None:
    begin, head = {"dfsm": ("encoder.", "dfsm.1"), "head": ("", "head.head")}[around]
    maker = Maker()
    channels = make_residual(maker, begin, depths, bottleneck=bottleneck, deep=deep)
    maker.linear(head, CLASSES, channels)
    state = maker.state
    wanted = student(state, residual_features(state, begin, pictures(64)), head)
    wrapped = {k if k.startswith("head") else f"model.{k}": v for k, v in state.items()}
    run = imported(wrapped, "tgda", image_size=64)
    assert run.description.network.name == name
    assert_same(run, wanted, 64)


@pytest.mark.parametrize(
    "options",
    [
        {"registers": 4, "token_select": "first_s"},
        {"registers": 0, "token_select": "patches"},
    ],
    ids=["registers", "none"],
)
def test_a_vitfs(imported: Callable[..., Run], options: dict[str, Any]) -> None:
    maker = Maker()
    make_vitfs(maker, "encoder.0.", DIM, GRID, registers=options["registers"])
    maker.linear("dfsm.1", CLASSES, DIM)
    state = maker.state
    wanted = student(state, vitfs_features(state, "encoder.0.", pictures()), "dfsm.1")
    run = imported({f"model.{k}": v for k, v in state.items()}, "tgda")
    assert run.description.network.options == options
    assert_same(run, wanted)


def test_a_cal_teacher(imported: Callable[..., Run]) -> None:
    maker = Maker()
    make_cal(maker, make_residual(maker, "encoder.", (1, 2, 1, 1, 1), bottleneck=False), 4)
    state = maker.state
    run = imported({f"model.{k}": v for k, v in state.items()}, "tgda", image_size=128)
    assert_same(run, cal_look(state, pictures(128))[0], 128)
    with torch.inference_mode():
        found = full_inference(run.load(), pictures(128))
    torch.testing.assert_close(found, cal_full(state, pictures(128)), atol=1e-4, rtol=1e-4)


METHODS = {
    "vit": "none",
    "evit": "evit",
    "topk": "topk",
    "tome": "tome",
    "ats": "ats",
    "dyvit": "dynamicvit",
    "dpcknn": "dpcknn",
    "sit": "sit",
    "patchmerger": "patchmerger",
}


def clca_state(method: str, **form: Any) -> State:
    maker = Maker()
    make_clca(maker, method, DIM, DEPTH, GRID, len(BLOCKS), 0.5, **form)
    return maker.state


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("clca", [True, False], ids=["clca", "plain"])
def test_every_way_of_token_reduction(
    imported: Callable[..., Run], method: str, clca: bool
) -> None:
    form: dict[str, Any] = {} if clca else {"cla": "", "tokens": 0}
    state = clca_state(method, **form)
    run = imported(
        state, "clca", model=f"{method}_base", keep_rate=[0.5], reduction_loc=list(BLOCKS), clc=clca
    )
    assert run.description.network.reduction.method == METHODS[method]
    assert_same(run, CLCA(state, method, DEPTH, BLOCKS, 0.5)(pictures()))


@pytest.mark.parametrize(
    ("form", "settings"),
    [
        ({"deit3": True}, {}),
        ({"clip": True}, {}),
        ({"cla": "linear"}, {}),
        ({"tokens": 2}, {}),
        ({}, {"clc_include_gap": False}),
        ({}, {"clc_recover_at_last": False}),
    ],
    ids=["deit3", "clip", "linear head", "two tokens", "no gap", "no last recovery"],
)
def test_forms_of_clca(
    imported: Callable[..., Run], form: dict[str, Any], settings: dict[str, bool]
) -> None:
    state = clca_state("evit", **form)
    run = imported(
        state, "clca", model="evit_base", keep_rate=0.5, reduction_loc=BLOCKS, clc=True, **settings
    )
    authors = CLCA(
        state,
        "evit",
        DEPTH,
        BLOCKS,
        0.5,
        gap=settings.get("clc_include_gap", True),
        at_last=settings.get("clc_recover_at_last", True),
        eps=1e-5 if "clip" in form else 1e-6,
    )
    assert_same(run, authors(pictures()))


@pytest.mark.parametrize("metric", ["cos", "l1", "l2"])
def test_glsim(imported: Callable[..., Run], metric: str) -> None:
    maker = Maker()
    make_glsim(maker, DIM, DEPTH, GRID)
    state = {f"module.model.{k}": v for k, v in maker.state.items()}
    run = imported(state, "glsim", sim_metric=metric, dynamic_top=4)
    assert_same(run, glsim(maker.state, pictures(), DEPTH, 4, metric))


def test_glsims_port_has_a_class_token_for_the_crop(imported: Callable[..., Run]) -> None:
    maker = Maker()
    make_glsim(maker, DIM, DEPTH, GRID, port=True)
    run = imported({f"model.{k}": v for k, v in maker.state.items()}, "glsim")
    assert run.description.network.glsim.crop_cls == "separate"
    assert_same(run, glsim_port(maker.state, pictures(), DEPTH))


@pytest.mark.parametrize("variant", ["ila", "ila+", "ila++"])
def test_ila(imported: Callable[..., Run], variant: str) -> None:
    maker = Maker()
    make_ila(maker, DIM, DEPTH, 8, (1, 3), variant)
    state = {f"model.{k}": v for k, v in maker.state.items()}
    run = imported(state, "ila", ila_ds_locs=[1, 3])
    assert run.description.network.adapters.variant == variant
    assert_same(run, ila(maker.state, pictures(128), DEPTH, (1, 3)), 128)
