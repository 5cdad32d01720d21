"""Quantization-aware training: what is rounded, to what, and that training goes through it."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from runs import write_recipe
from safetensors.torch import load_file, save_file
from torch import nn

from edge_fgir import InputError
from edge_fgir.data import open_data
from edge_fgir.models import Network
from edge_fgir.models.setting import Setting
from edge_fgir.runs import Run, predictor
from edge_fgir.training import read_recipe, train, train_quantization_aware
from edge_fgir.training.fake_quantization import FakeQuantMode, rounded_input, rounded_weight

pytestmark = pytest.mark.unit


def test_inputs_are_rounded_over_their_range_and_zero_stays_zero() -> None:
    x = torch.cat([torch.linspace(-1, 3, 999), torch.zeros(1)])
    found = rounded_input(x)
    step = 4 / 255
    assert (found - x).abs().max() <= step / 2 + 1e-6
    assert len(found.unique()) == 256
    assert found[-1] == 0


@pytest.mark.parametrize("x", [torch.zeros(8), torch.full((8,), 5.0), torch.full((8,), -5.0)])
def test_inputs_without_a_range(x: torch.Tensor) -> None:
    assert torch.allclose(rounded_input(x), x, atol=0.02)


def test_weights_are_rounded_for_each_output_channel() -> None:
    torch.manual_seed(0)
    weight = torch.randn(4, 3, 3, 3) * torch.tensor([1e-3, 1, 10, 0]).reshape(4, 1, 1, 1)
    found = rounded_weight(weight)
    for own, rounded in zip(weight, found, strict=True):
        most = own.abs().max()
        assert (rounded - own).abs().max() <= most / 254 + 1e-6
        assert len(rounded.unique()) <= 255


def test_a_scale_for_each_channel_commutes_with_rounding() -> None:
    """So a BatchNorm folded later leaves on the grid what was trained on it."""
    torch.manual_seed(0)
    weight, scale = torch.randn(6, 5), torch.rand(6, 1) + 0.5
    assert torch.allclose(rounded_weight(weight * scale), rounded_weight(weight) * scale, atol=1e-6)


def test_gradients_pass_straight_through() -> None:
    layer, x = nn.Linear(6, 4), torch.randn(3, 6, requires_grad=True)
    with FakeQuantMode():
        layer(x).sum().backward()
    assert torch.allclose(layer.weight.grad, rounded_input(x.detach()).sum(0).expand(4, 6))
    assert torch.allclose(x.grad, rounded_weight(layer.weight.detach()).sum(0).expand(3, 6))


def test_only_what_learns_is_rounded() -> None:
    torch.manual_seed(0)
    layer, x = nn.Conv2d(3, 4, 3), torch.randn(2, 3, 8, 8)
    plain = layer(x).detach()
    with FakeQuantMode():
        assert not torch.equal(layer(x), plain)
        with torch.no_grad():
            assert torch.equal(layer(x), plain)
    assert torch.equal(layer(x), plain)


@pytest.mark.parametrize("name", ["lrnet14", "vitfs_nano"])
def test_every_layer_of_our_networks_is_rounded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Network(name=name).build(5, 64).train()
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    seen: list[torch.Size] = []

    def spy(weight: torch.Tensor) -> torch.Tensor:
        seen.append(weight.shape)
        return rounded_weight(weight)

    monkeypatch.setattr("edge_fgir.training.fake_quantization.rounded_weight", spy)
    with FakeQuantMode():
        model(torch.randn(2, 3, 64, 64)).sum().backward()
    assert sorted(seen) == sorted(layer.weight.shape for layer in layers)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_a_run_is_trained_on_beside_the_old_one(
    tiny_run: Path, photos: Path, tmp_path: Path
) -> None:
    run, data = Path(shutil.copytree(tiny_run, tmp_path / "run")), open_data(str(photos))
    before = {p.name: p.read_bytes() for p in run.iterdir() if p.is_file()}
    found = train_quantization_aware(run, data, 2, Setting(48))
    assert found.run.parent == run / "int8"
    assert Run.open(found.run).description.preprocess.size == 48
    recipe = read_recipe(str(found.run / "config.yaml"))
    assert recipe.quantization_aware
    assert recipe.optimizer.lr == pytest.approx(0.0002)
    assert found.verdict.drop <= 10
    assert {p.name: p.read_bytes() for p in run.iterdir() if p.is_file()} == before
    stamp = (found.run / "weights.safetensors").stat().st_mtime_ns
    assert train_quantization_aware(run, data, 2, Setting(48)) == found
    assert (found.run / "weights.safetensors").stat().st_mtime_ns == stamp


def test_a_run_is_found_by_any_name_and_learns_by_its_whole_loss(
    tiny_run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "birds #2: small"))
    plan = read_recipe(
        str(run / "config.yaml"), ["loss.classification=class_balanced", "loss.deferred=0.5"]
    )
    (run / "config.yaml").write_text(plan.dump())
    data = open_data(str(photos))
    first = train_quantization_aware(run, data, 1)
    assert Run(first.run).recipe.loss.deferred == 0
    assert Run(first.run).recipe.optimizer.min_lr < plan.optimizer.min_lr
    monkeypatch.chdir(tmp_path)
    again = train_quantization_aware(Path(run.name), data, 1)
    assert again.run.resolve() == first.run


def test_other_weights_are_trained_on_anew(tiny_run: Path, photos: Path, tmp_path: Path) -> None:
    """A run trained again under the same name is not answered with the old one."""
    run, data = Path(shutil.copytree(tiny_run, tmp_path / "run")), open_data(str(photos))
    first = train_quantization_aware(run, data, 1)
    path = Run(run).weights
    save_file({name: tensor * 0.5 for name, tensor in load_file(path).items()}, path)
    assert train_quantization_aware(run, data, 1).run != first.run


def test_what_it_cannot_be_done_for(tiny_run: Path, photos: Path, tmp_path: Path) -> None:
    alone = tmp_path / "run"
    alone.mkdir()
    for name in ("model.json", "labels.txt", "weights.safetensors"):
        (alone / name).write_bytes((tiny_run / name).read_bytes())
    with pytest.raises(InputError, match=r"has no config\.yaml"):
        train_quantization_aware(alone, open_data(str(photos)), 1)
    recipe = write_recipe(tmp_path / "r.yaml", compile=True, quantization_aware=True)
    with pytest.raises(InputError, match="compile is not for quantization_aware"):
        read_recipe(str(recipe))


@pytest.mark.slow
def test_training_sees_the_rounded_network(photos: Path, tmp_path: Path) -> None:
    """The first loss of a run is that of rounded layers, and not the plain one."""
    losses = []
    for aware in (False, True):
        path = write_recipe(tmp_path / f"{aware}.yaml", epochs=1, quantization_aware=aware)
        summary = train(read_recipe(str(path)), open_data(str(photos)), tmp_path / str(aware))
        losses.append(summary.history[0].loss)
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.2)


def test_functions_that_are_rounded_are_the_ones_that_layers_call() -> None:
    x, weight = torch.randn(2, 3, 8, 8), torch.randn(4, 3, 3, 3, requires_grad=True)
    with FakeQuantMode():
        assert torch.equal(F.conv2d(x, weight), torch.conv2d(x, weight))


def test_both_runs_are_evaluated_on_the_gpu_where_there_is_one_and_say_so(
    tiny_run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, data = Path(shutil.copytree(tiny_run, tmp_path / "run")), open_data(str(photos))
    moved, titles = [], []
    logits_of = predictor.logits_of  # type: ignore[attr-defined]

    def spy(model: nn.Module, images: Any, normalization: Any, title: str, *rest: Any) -> Any:
        assert model in moved
        titles.append(title)
        return logits_of(model, images, normalization, title, *rest)

    monkeypatch.setattr(predictor, "on_gpu", moved.append)
    monkeypatch.setattr(predictor, "logits_of", spy)
    found = train_quantization_aware(run, data, 1)
    assert titles == [f"{run} on val", f"{found.run} on val"]
