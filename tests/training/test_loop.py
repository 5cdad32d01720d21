import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from interruption import StopBefore
from runs import CLASSES, fitted, write_recipe
from safetensors.torch import load_file
from shared import Shared

from edge_fgir import InputError, results
from edge_fgir.data import open_data, pack
from edge_fgir.models import Network
from edge_fgir.models.setting import Setting
from edge_fgir.runs import OptimizerSection, Run
from edge_fgir.training import Hook, read_recipe, train
from edge_fgir.training.methods import CrossEntropy
from edge_fgir.training.optimizer import make_optimizer, make_scheduler

pytestmark = pytest.mark.slow

SMALL = {"epochs": 2, "checkpoint_steps": 5}
VIT = "vit_tiny_patch16_224"


def fit(
    photos: Path,
    out: Path,
    recipe: Path,
    *hooks: Hook,
    resume: bool = False,
    overrides: tuple = (),
) -> results.Training:
    plan = read_recipe(str(recipe), overrides)
    return train(plan, open_data(str(photos)), out, resume=resume, hooks=hooks)


def test_a_run_folder_is_complete_and_learns(tiny_run: Path) -> None:
    summary = json.loads((tiny_run / "summary.json").read_text())
    assert summary["schema"] == "edge-fgir/training/1"
    assert summary["val_top1"] > 80
    assert summary["steps"] == 72
    assert (tiny_run / "labels.txt").read_text().splitlines() == list(CLASSES)
    names = {path.name for path in tiny_run.iterdir()}
    assert {"config.yaml", "model.json", "weights.safetensors", "state.safetensors"} <= names
    assert {"state.json", "metrics.jsonl"} <= names
    assert any(name.startswith("events.") for name in names)
    assert not any(path.suffix in (".pt", ".pth", ".pkl") for path in tiny_run.rglob("*"))
    opened = Run.open(tiny_run)
    trained, model = opened.description, opened.load()
    assert trained.num_classes == 3
    assert not model.training


def test_compile_without_a_compiler_is_refused_before_anything_is_written(
    photos: Path, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path / "r.yaml", compile=True)
    out = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-P", "-m", "edge_fgir", "train", recipe, "--data", photos, "--out", out],
        env={**os.environ, "PATH": str(tmp_path), "CXX": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "torch cannot compile here: " in line
    assert "No working C++ compiler" in line
    assert line.endswith("expected a C++ compiler, such as g++; install one, or leave compile out")
    assert "Traceback" not in done.stderr
    assert not out.exists()


def distilled(teacher_run: Path) -> dict[str, Any]:
    """What a run by TGDA, with all that draws random numbers or keeps a state, changes."""
    return {
        **SMALL,
        "method": "tgda",
        "model": {"name": "lrnet14", "drop_path": 0.2},
        "optimizer": {"lr": 0.002, "warmup_steps": 2, "ema_decay": 0.9},
        "teacher": {"run": str(teacher_run), "mode": "train"},
    }


@pytest.fixture(scope="module")
def undisturbed(photos: Path, teacher_run: Path, shared: Shared) -> Path:
    return fitted(shared, "undisturbed", photos, **distilled(teacher_run))


@pytest.mark.parametrize("stop_after", [1, 5, 9, 12])
def test_an_interrupted_run_resumes_bit_exactly(
    photos: Path, tmp_path: Path, teacher_run: Path, undisturbed: Path, stop_after: int
) -> None:
    recipe, run = write_recipe(tmp_path / "r.yaml", **distilled(teacher_run)), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        fit(photos, run, recipe, StopBefore(stop_after + 1))
    fit(photos, run, recipe, resume=True)
    for name in ("weights.safetensors", "ema.safetensors"):
        whole, parts = load_file(undisturbed / name), load_file(run / name)
        assert whole.keys() == parts.keys()
        assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_a_run_of_an_earlier_version_goes_on_with_its_own_preprocessing(
    photos: Path, tmp_path: Path
) -> None:
    recipe, run = write_recipe(tmp_path / "r.yaml", **SMALL), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        fit(photos, run, recipe, StopBefore(6))
    described = json.loads((run / "model.json").read_text())
    assert described["preprocess"].pop("shrink") == "blocks"  # which it did not know
    (run / "model.json").write_text(json.dumps(described))
    fit(photos, run, recipe, resume=True)
    assert Run.open(run).description.preprocess.shrink == "kernel"


def test_shards_are_learned_from_and_resumed_like_folders(
    photos: Path, tmp_path: Path, teacher_run: Path
) -> None:
    shards = tmp_path / "shards"
    pack(open_data(str(photos)), shards, shard_bytes=50_000)
    recipe = write_recipe(
        tmp_path / "r.yaml",
        **SMALL,
        method="tgda",
        teacher={"run": str(teacher_run), "cache_variants": 2},
    )
    fit(shards, tmp_path / "whole", recipe)
    with pytest.raises(KeyboardInterrupt):
        fit(shards, tmp_path / "parts", recipe, StopBefore(13))
    fit(shards, tmp_path / "parts", recipe, resume=True)
    whole, parts = (load_file(tmp_path / run / "weights.safetensors") for run in ("whole", "parts"))
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_a_finished_run_is_left_as_it_is(photos: Path, tiny_run: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "r.yaml")
    before = (tiny_run / "weights.safetensors").stat().st_mtime_ns
    summary = fit(photos, tiny_run, recipe, resume=True)
    assert summary.steps == 72
    assert (tiny_run / "weights.safetensors").stat().st_mtime_ns == before


def test_a_used_folder_and_another_recipe_are_refused(
    photos: Path, tiny_run: Path, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path / "r.yaml")
    with pytest.raises(InputError, match="is not empty"):
        fit(photos, tiny_run, recipe)
    with pytest.raises(InputError, match=r"started with another recipe \(seed\)"):
        fit(photos, tiny_run, recipe, resume=True, overrides=("seed=5",))


def test_views_of_the_teacher_are_pictured(photos: Path, tmp_path: Path, teacher_run: Path) -> None:
    recipe = write_recipe(
        tmp_path / "r.yaml", epochs=1, method="tgda", teacher={"run": str(teacher_run)}
    )
    fit(photos, tmp_path / "run", recipe)
    assert (tmp_path / "run" / "pictures" / "views.png").stat().st_size > 1000


def test_a_teacher_of_other_classes_is_refused_before_anything_is_written(
    tmp_path: Path, teacher_run: Path, make_folder: Callable[..., Path]
) -> None:
    other = make_folder(tmp_path / "other", classes=("a", "b"))
    recipe = write_recipe(tmp_path / "r.yaml", method="kd", teacher={"run": str(teacher_run)})
    with pytest.raises(
        InputError, match=r"other classes than data other; .* knows 3, the data has 2, 'a'"
    ):
        fit(other, tmp_path / "run", recipe)
    assert not (tmp_path / "run").exists()


def test_views_of_a_side_that_the_teacher_does_not_take_are_refused(
    photos: Path, tmp_path: Path
) -> None:
    model = {"name": VIT, "options": {"depth": 1, "embed_dim": 48}}
    fit(photos, tmp_path / "vit", write_recipe(tmp_path / "v.yaml", epochs=1, model=model))
    teacher = {"run": str(tmp_path / "vit")}
    recipe = write_recipe(tmp_path / "r.yaml", method="kd", epochs=1, teacher=teacher)
    with pytest.raises(InputError, match=r"vit at data\.view_size 48: .*; expected its own 32"):
        fit(photos, tmp_path / "run", recipe, overrides=("data.view_size=48",))
    cal = write_recipe(
        tmp_path / "c.yaml", method="cal", epochs=1, model={**model, "attention_maps": 2}
    )
    with pytest.raises(
        InputError, match=r"view_size 48 for vit_tiny.*: .* its eval\.image_size 32"
    ):
        fit(photos, tmp_path / "run", cal, overrides=("data.view_size=48",))
    assert not (tmp_path / "run").exists()
    fit(photos, tmp_path / "run", cal)
    with pytest.raises(InputError, match=r"run at 48 px: .*; expected 32 px"):
        Run.open(tmp_path / "run").at(Setting(48)).load(lambda _: pytest.fail("read pictures"))


def test_a_side_that_a_network_does_not_take_is_refused_before_anything_is_written(
    photos: Path, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path / "r.yaml", epochs=1, model={"name": "inception_v3"})
    with pytest.raises(InputError, match=r"eval\.image_size 32 for inception_v3: .*") as caught:
        fit(photos, tmp_path / "run", recipe)
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnet_lite0"])
@pytest.mark.parametrize("method", ["ce", "cal"])
def test_a_batch_of_one_that_has_no_deviation_is_refused_before_anything_is_written(
    name: str, method: str, photos: Path, tmp_path: Path
) -> None:
    model = {"name": name, "attention_maps": 2 if method == "cal" else 0}
    recipe = write_recipe(tmp_path / "r.yaml", epochs=1, method=method, batch_size=1, model=model)
    with pytest.raises(InputError, match=rf"batch_size 1 for {name} at 32 px: .*; expected 2 or"):
        fit(photos, tmp_path / "run", recipe)
    assert not (tmp_path / "run").exists()


def test_a_batch_of_one_is_enough_without_batch_norm(photos: Path, tmp_path: Path) -> None:
    model = {"name": VIT, "options": {"depth": 1, "embed_dim": 48}}
    recipe = write_recipe(tmp_path / "r.yaml", epochs=1, batch_size=1, model=model)
    assert fit(photos, tmp_path / "run", recipe).steps > 0


@pytest.mark.parametrize("method", ["ce", "cal"])
def test_a_network_whose_patches_have_a_number_for_a_side_learns(
    method: str, photos: Path, tmp_path: Path
) -> None:
    options = {"depth": 1, "embed_dim": 48, "num_heads": 2, "cls_attn_layers": 1}
    maps = 2 if method == "cal" else 0
    model = {"name": "xcit_nano_12_p16_224", "options": options, "attention_maps": maps}
    recipe = write_recipe(tmp_path / "r.yaml", epochs=1, method=method, model=model)
    fit(photos, tmp_path / "run", recipe)
    assert Run.open(tmp_path / "run").load(lambda _: pytest.fail("read pictures")).num_classes == 3


def test_a_loss_that_is_no_number_ends_the_run(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        CrossEntropy, "loss", lambda *a: torch.tensor(float("nan"), requires_grad=True)
    )
    with pytest.raises(Exception, match=r"the loss is nan at step 1; run again with --resume and"):
        fit(photos, tmp_path / "run", write_recipe(tmp_path / "r.yaml"))


def test_schedule_is_cosine_with_the_warm_up_inside() -> None:
    section = OptimizerSection(lr=5e-4, warmup_steps=500)
    model = torch.nn.Linear(2, 2)
    optimizer = make_optimizer(model, section)
    scheduler = make_scheduler(optimizer, section, 100, 100)

    def rate(step: int) -> float:
        scheduler.step_update(step)
        return float(optimizer.param_groups[0]["lr"])

    assert rate(0) == pytest.approx(1e-6)
    assert rate(250) == pytest.approx((1e-6 + 5e-4) / 2, rel=1e-3)
    cosine = 1e-5 + 0.5 * (5e-4 - 1e-5) * (1 + torch.cos(torch.tensor(torch.pi * 0.05)).item())
    assert rate(500) == pytest.approx(cosine, rel=1e-4)
    assert rate(9_999) == pytest.approx(1e-5, rel=1e-2)


def test_warm_up_and_cool_down_in_epochs() -> None:
    section = OptimizerSection(lr=1e-4, warmup_steps=0, warmup_epochs=2, cooldown_epochs=5)
    optimizer = make_optimizer(torch.nn.Linear(2, 2), section)
    scheduler = make_scheduler(optimizer, section, 50, 7)

    def rate(epoch: float) -> float:
        scheduler.step_update(round(7 * epoch))
        return float(optimizer.param_groups[0]["lr"])

    assert rate(0) == pytest.approx(1e-6)
    assert rate(1) == pytest.approx((1e-6 + 1e-4) / 2, rel=1e-2)
    assert rate(22.5) == pytest.approx((1e-4 + 1e-5) / 2, rel=0.02)
    assert [rate(epoch) for epoch in (45, 46, 49.8)] == pytest.approx([1e-5] * 3)


def test_a_rate_below_the_last_one_does_not_rise() -> None:
    section = OptimizerSection(lr=1e-6, min_lr=1e-5, warmup_steps=0)
    optimizer = make_optimizer(torch.nn.Linear(2, 2), section)
    scheduler = make_scheduler(optimizer, section, 10, 10)
    for step in range(100):
        scheduler.step_update(step)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-6)


def test_what_a_model_names_is_not_decayed() -> None:
    model = Network(name="vit_tiny_patch16_224").build(3, 32)
    weights, others = make_optimizer(model, OptimizerSection()).param_groups
    kept = {id(p) for p in others["params"]}
    assert {id(model.pos_embed), id(model.cls_token)} <= kept
    assert all(p.ndim > 1 for p in weights["params"])


def test_muon_steps_orthogonally_where_there_are_matrices_and_as_adamw_elsewhere() -> None:
    def learned(name: str) -> tuple[torch.Tensor, torch.Tensor]:
        torch.manual_seed(0)
        layer = torch.nn.Linear(6, 4)
        before = [p.detach().clone() for p in layer.parameters()]
        section = OptimizerSection(name=name, lr=0.1, weight_decay=0.0)
        layer(torch.randn(8, 6)).square().sum().backward()
        make_optimizer(layer, section).step()
        steps = zip(layer.parameters(), before, strict=True)
        weight, bias = (p.detach() - old for p, old in steps)
        return weight, bias

    weight, bias = learned("muon")
    assert torch.allclose(bias, learned("adamw")[1], atol=1e-4)
    stretched = torch.linalg.svdvals(weight)
    assert stretched.max() / stretched.min() < 2
    other = torch.linalg.svdvals(learned("adamw")[0])
    assert other.max() / other.min() > 2


def test_biases_and_norms_are_not_decayed() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    weights, others = make_optimizer(model, OptimizerSection()).param_groups
    assert [tuple(p.shape) for p in weights["params"]] == [(3, 2)]
    assert len(others["params"]) == 3
    assert (weights["weight_decay"], others["weight_decay"]) == (0.05, 0.0)
