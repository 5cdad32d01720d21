"""Adapters from a recipe to a run folder and back: arXiv 2409.11051,
docs/science/ila.md#acceptance."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import yaml
from interruption import StopBefore
from runs import RECIPE, write_recipe
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from edge_fgir import InputError, _resources
from edge_fgir.data import open_data
from edge_fgir.models import Network
from edge_fgir.models.ila import AdaptedViT, Adapters, learned_state
from edge_fgir.models.setting import Setting
from edge_fgir.runs import LossSection, OptimizerSection, Run, TrainedModel
from edge_fgir.runtime import Preprocess
from edge_fgir.sweeping.sweep import read_sweep
from edge_fgir.training import read_recipe, train
from edge_fgir.training.methods import Batch, CrossEntropy
from edge_fgir.training.optimizer import make_optimizer
from edge_fgir.training.processes import Step

NAME = "vit_tiny_patch16_224"
OPTIONS = {"depth": 3, "embed_dim": 48}
SIZE = 96


def hashes(tensors: Iterator[tuple[str, Tensor]]) -> dict[str, str]:
    return {
        name: hashlib.sha256(value.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
        for name, value in tensors
    }


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a backbone, as another training would have left them."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("base") / "base.safetensors"
    save_file(timm.create_model(NAME, img_size=SIZE, num_classes=7, **OPTIONS).state_dict(), path)
    return path


def recipe_of(folder: Path, base: Path, adapters: dict[str, Any] | None, **changes: Any) -> Any:
    model = {"name": NAME, "options": OPTIONS, "weights": str(base), "adapters": adapters}
    path = write_recipe(
        folder / "r.yaml",
        **{
            "epochs": 2,
            "model": model,
            "data": {**RECIPE["data"], "view_size": SIZE},
            "eval": {"image_size": SIZE, "every_epochs": 2},
            **changes,
        },
    )
    return read_recipe(str(path))


@pytest.fixture(scope="module")
def run(photos: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapted")
    averaged = {"lr": 0.002, "warmup_steps": 2, "ema_decay": 0.9}
    recipe = recipe_of(folder, base, {"variant": "ila++"}, optimizer=averaged)
    train(recipe, open_data(str(photos)), folder / "run")
    return folder / "run"


@pytest.mark.unit
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("class_token", [False, True])
@pytest.mark.parametrize("variant", ["none", "ila", "ila+", "ila++"])
def test_a_step_changes_what_is_trained_and_nothing_else(
    variant: str, class_token: bool, optimizer: Any
) -> None:
    torch.manual_seed(0)
    model = Network(
        name=NAME,
        options={**OPTIONS, "proj_drop_rate": 0.1},
        adapters=Adapters(variant=variant, class_token=class_token),
    ).build(3, SIZE)
    assert isinstance(model, AdaptedViT)
    section = OptimizerSection(name=optimizer, lr=0.1, weight_decay=0.1, nesterov=True)
    stepper = make_optimizer(model, section)
    held = {id(p) for group in stepper.param_groups for p in group["params"]}
    assert held == {id(p) for p in model.parameters() if p.requires_grad}
    before = hashes(iter(model.state_dict().items()))
    images = torch.randn(4, 3, SIZE, SIZE)
    batch = Batch(images, torch.tensor([0, 1, 2, 0]), torch.arange(4))
    Step(model.train(), CrossEntropy(LossSection(), Preprocess(size=SIZE)))(batch).backward()
    stepper.step()
    after = hashes(iter(model.state_dict().items()))
    changed = {name for name in before if before[name] != after[name]}
    learned = model.learned_names()
    assert changed <= learned
    # A BatchNorm takes out again what these add.
    assert all(name.endswith((".depthwise.bias", ".down.bias")) for name in learned - changed)
    assert learned == learned_state(model).keys()


@pytest.mark.unit
def test_nesterov_is_what_the_recipe_says() -> None:
    model = nn.Linear(2, 2)
    for nesterov in (False, True):
        section = OptimizerSection(name="sgd", nesterov=nesterov)
        assert make_optimizer(model, section).param_groups[0]["nesterov"] is nesterov


@pytest.mark.slow
def test_a_run_stores_what_was_learned_and_names_its_base(run: Path, base: Path) -> None:
    described = json.loads((run / "model.json").read_text())
    assert described["base"]["source"] == str(base)
    assert described["network"]["adapters"]["variant"] == "ila++"
    stored = load_file(run / "weights.safetensors")
    assert not any(name.startswith("backbone.blocks.") for name in stored)
    assert (run / "weights.safetensors").stat().st_size < base.stat().st_size / 2
    names = load_file(Run(run).state).keys()
    assert {n.removeprefix("model/") for n in names if n.startswith("model/")} == stored.keys()
    assert {n.removeprefix("ema/") for n in names if n.startswith("ema/")} == stored.keys()


@pytest.mark.slow
def test_a_run_is_loaded_on_its_base(run: Path, base: Path) -> None:
    opened = Run.open(run)
    trained, model = opened.description, opened.load()
    assert isinstance(model, AdaptedViT)
    state = load_file(base)
    for name, value in model.backbone.state_dict().items():
        if name not in ("cls_token", "head.weight", "head.bias"):
            assert torch.equal(value, state[name]), name
    averaged = load_file(run / "ema.safetensors")
    assert all(torch.equal(model.state_dict()[name], value) for name, value in averaged.items())
    assert trained.build(meta=True).learned_names() == averaged.keys()


@pytest.mark.slow
def test_a_run_is_evaluated_at_another_size(run: Path, photos: Path, run_cli: Callable) -> None:
    done = run_cli("eval", run, "--data", photos, "--image-size", "128", "--json")
    assert done.code == 0, done.err
    small = run_cli("eval", run, "--data", photos, "--image-size", "64")
    assert small.code == 2
    assert "4 x 4 patches" in small.err
    pictures = torch.zeros(8, 128, 128, 3, dtype=torch.uint8).numpy()
    opened = Run.open(run).at(Setting(128))
    trained, model = opened.description, opened.load(lambda _: pictures)
    assert trained.preprocess.size == 128
    learned = load_file(run / "ema.safetensors")
    assert torch.equal(model.between["0"].residual.weight, learned["between.0.residual.weight"])


@pytest.mark.slow
def test_another_or_a_missing_base_is_one_line(
    run: Path, base: Path, photos: Path, tmp_path: Path, run_cli: Callable
) -> None:
    copy, other = tmp_path / "run", tmp_path / "other.safetensors"
    shutil.copytree(run, copy)
    state = load_file(base)
    state["norm.bias"] += 1e-3
    save_file(state, other)
    described = json.loads((copy / "model.json").read_text())
    for source, message in ((other, "expected sha256"), (tmp_path / "gone.pth", "are not there")):
        described["base"]["source"] = str(source)
        (copy / "model.json").write_text(json.dumps(described))
        done = run_cli("eval", copy, "--data", photos)
        assert done.code == 2
        assert done.err.count("\n") == 1
        assert message in done.err
        assert "model.json (base.source)" in done.err
    torch.save(load_file(base), tmp_path / "gone.pth")  # the same tensors in another file
    opened = Run.open(copy)
    _, model = opened.description, opened.load()
    assert model.base.sha256 == described["base"]["sha256"]


@pytest.mark.unit
def test_a_run_with_other_tensors_is_refused(base: Path, tmp_path: Path, photos: Path) -> None:
    trained = TrainedModel(
        name="x",
        network=Network(name=NAME, options=OPTIONS, adapters=Adapters()),
        base=_base_of(base),
        num_classes=3,
        normalization={"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)},
        preprocess={"size": SIZE},
        data=open_data(str(photos)).info,
    )
    Run(tmp_path).write(trained, ("a", "b", "c"))
    state = {k: v.contiguous() for k, v in learned_state(trained.build()).items()}
    del state["backbone.cls_token"]
    save_file(state, tmp_path / "weights.safetensors")
    with pytest.raises(InputError, match=r"does not hold this model \(backbone.cls_token"):
        Run.open(tmp_path).load()


def _base_of(base: Path) -> Any:
    return Network(name=NAME, options=OPTIONS, weights=str(base), adapters=Adapters()).build(3).base


@pytest.mark.slow
def test_an_interrupted_run_goes_on_bit_exactly_and_only_on_its_base(
    photos: Path, base: Path, tmp_path: Path
) -> None:
    data = open_data(str(photos))
    own = tmp_path / "base.safetensors"
    shutil.copy(base, own)
    recipe = recipe_of(tmp_path, own, {"variant": "ila"}, checkpoint_steps=4)
    train(recipe, data, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, data, tmp_path / "broken", hooks=[StopBefore(7)])
    state = load_file(own)
    save_file({**state, "norm.bias": state["norm.bias"] + 1e-3}, own)
    with pytest.raises(InputError, match=r"expected sha256 .* on which the adapters of tiny"):
        train(recipe, data, tmp_path / "broken", resume=True)
    save_file(state, own)
    train(recipe, data, tmp_path / "broken", resume=True)
    whole, again = (load_file(tmp_path / r / "weights.safetensors") for r in ("whole", "broken"))
    assert all(torch.equal(value, again[name]) for name, value in whole.items())


@pytest.mark.unit
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"name": NAME, "adapters": {}}}, "need a trained backbone: set model.weights"),
        (
            {
                "model": {"name": NAME, "adapters": {}, "weights": "w.pth"},
                "elastic": {"image_sizes": [32, 16]},
            },
            "elastic is not for model.adapters",
        ),
        ({"model": {"name": NAME, "adapters": {"variant": "ila+++"}}}, "model.adapters.variant"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_recipe(str(write_recipe(tmp_path / "r.yaml", **changes)))


@pytest.mark.unit
@pytest.mark.parametrize(("name", "size", "before"), [("ila-224", 224, 300), ("ila-448", 448, 600)])
def test_the_papers_recipe_has_a_name(name: str, size: int, before: int) -> None:
    recipe = read_recipe(name)
    assert recipe.model.adapters == Adapters(variant="ila++")
    assert recipe.model.adapters.class_token
    assert (recipe.model.name, recipe.model.weights) == ("vit_base_patch16_224.orig_in21k", "timm")
    assert (recipe.batch_size, recipe.epochs, recipe.precision) == (8, 50, "fp16")
    assert int(recipe.data.resize_ratio * recipe.data.view_size) == before
    assert round(size / recipe.eval.crop_fraction) == before
    assert recipe.eval.image_size == recipe.data.view_size == size
    assert recipe.optimizer == OptimizerSection(
        name="sgd", nesterov=True, lr=0.1, weight_decay=0.0, clip_norm=1.0
    )
    options = recipe.model.options
    assert options == {"pos_drop_rate": 0.1, "proj_drop_rate": 0.1}
    model = Network(name=recipe.model.name, options=options, adapters=Adapters()).build(
        5, size, meta=True
    )
    assert {m.p for m in model.backbone.blocks.modules() if isinstance(m, nn.Dropout)} == {0.0, 0.1}


@pytest.mark.unit
def test_the_papers_learning_rates_are_chosen_on_val() -> None:
    sweep = read_sweep(_resources.folder("recipes") / "sweeps" / "ila-leaves.yaml")
    assert sweep.grid["optimizer.lr"] == (0.3, 0.1, 0.03, 0.01, 0.003)
    assert sweep.split == "val"


@pytest.mark.slow
@pytest.mark.unit
def test_the_last_run_learns_from_val_too(photos: Path, tmp_path: Path) -> None:
    data = open_data(str(photos))
    joined = data.with_val_in_train()
    counts = {split: len(data.split(split)) for split in ("train", "val", "test")}
    assert len(joined.split("train")) == counts["train"] + counts["val"]
    assert list(joined.split("val")) == list(data.split("val"))
    assert not joined.shard_sizes
    more = {"view_size": 32, "resize_ratio": 1.2, "workers": 0, "with_val": True}
    recipe = read_recipe(str(write_recipe(tmp_path / "r.yaml", epochs=1, data=more)))
    summary = train(recipe, data, tmp_path / "run")
    assert summary.steps == (counts["train"] + counts["val"]) // recipe.batch_size
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["data"]["with_val"]
