from typing import Any

import pytest
import torch
from stirred import stir
from timm.layers import LayerScale
from torch import nn

from edge_fgir.models import Network
from edge_fgir.models.folding import folded
from edge_fgir.models.reduction import METHODS, Reduction

SIZE = 96
BATCH_NORM = nn.modules.batchnorm._BatchNorm


def trained_like(model: nn.Module) -> Any:
    """A model whose norms and scales do something."""
    torch.manual_seed(0)
    stir(model)
    return model.eval()


def difference(model: nn.Module, other: nn.Module) -> float:
    images = torch.randn(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = model(images)
        return float((other(images) - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("token_select", ["patches", "first_s"])
@pytest.mark.parametrize("name", ["vitfs_nano", "vitfs_nano_ln", "vitfs_micro"])
def test_vitfs_is_free_of_norms_and_equal(name: str, token_select: str) -> None:
    options = {"token_select": token_select}
    model = trained_like(Network(name=name, options=options).build(7, SIZE))
    form = folded(model)
    assert not any(isinstance(m, LayerScale | BATCH_NORM) for m in form.modules())
    assert difference(model, form) < 1e-5


def test_a_folded_vitfs_takes_pictures_of_other_sizes() -> None:
    model = trained_like(Network(name="vitfs_nano").build(7, 64))
    assert difference(model, folded(model)) < 1e-5


def test_a_channel_of_the_stem_that_is_hardly_ever_active_does_not_stand_out() -> None:
    model = trained_like(Network(name="vitfs_nano").build(7, SIZE))
    first, norm = model.stem[0], model.stem[2]
    with torch.no_grad():
        first.weight[0] /= 100
        first.bias[0] /= 100
        norm.running_mean[0] /= 100
        norm.running_var[0] /= 100**2
    form = folded(model)
    assert difference(model, form) < 1e-5
    weights = form.stem[3].conv.weight.detach().std(dim=(0, 2, 3))
    assert weights[0] < 10 * weights[1:].max()  # INT8 rounds all of them by one step


@pytest.mark.parametrize("clca", [False, True])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["vitfs_nano", "vit_tiny_patch16_224"])
def test_reduced_transformers_are_equal(name: str, method: str, clca: bool) -> None:
    rate = 1.0 if method == "none" else 0.6
    reduction = Reduction(method=method, keep_rate=rate, cla=clca, clr_tokens=int(clca))
    model = trained_like(Network(name=name, reduction=reduction).build(7, SIZE))
    form = folded(model)
    assert difference(model, form) < 1e-5
    assert not any(isinstance(m, BATCH_NORM) for m in form.modules())


@pytest.mark.parametrize("name", ["lrnet14", "deit3_small_patch16_224", "resnet18"])
def test_other_networks_are_equal_and_the_original_is_untouched(name: str) -> None:
    size = SIZE if name.startswith("deit3") else None
    model = trained_like(Network(name=name).build(7, size))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    form = folded(model)
    assert difference(model, form) < 1e-5
    assert not any(isinstance(m, LayerScale) for m in form.modules())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
