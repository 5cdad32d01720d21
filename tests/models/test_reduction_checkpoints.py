from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from edge_fgir import InputError
from edge_fgir.models import Network
from edge_fgir.models.reduction import Reduction

pytestmark = pytest.mark.unit

NAME = "vit_tiny_patch16_224"


def reduced(
    reduction: Reduction, weights: str = "random", size: int = 64, seed: int = 0, name: str = NAME
) -> Any:
    torch.manual_seed(seed)
    return Network(name=name, reduction=reduction, weights=weights).build(7, size).eval()


def settings(method: str, clca: bool = True) -> Reduction:
    return Reduction(method=method, keep_rate=0.5, cla=clca, clr_tokens=int(clca))


@pytest.mark.parametrize("method", ["evit", "tome", "dynamicvit", "dpcknn"])
def test_weights_serve_another_size_and_keep_rate(tmp_path: Path, method: str) -> None:
    trained = reduced(settings(method))
    save_file(trained.state_dict(), tmp_path / "weights.safetensors")
    other = settings(method).at(0.7)
    loaded = reduced(other, weights=str(tmp_path / "weights.safetensors"), size=96, seed=1)
    assert torch.equal(loaded.cla.depthwise.weight, trained.cla.depthwise.weight)
    assert torch.equal(loaded.clr, trained.clr)
    with torch.inference_mode():
        assert loaded(torch.randn(2, 3, 96, 96)).isfinite().all()


@pytest.mark.parametrize("method", ["dynamicvit", "dpcknn"])
def test_where_nothing_is_dropped_what_chooses_tokens_is_not_missed(
    tmp_path: Path, method: str
) -> None:
    trained = reduced(settings(method))
    save_file(trained.state_dict(), tmp_path / "weights.safetensors")
    whole = settings(method).at(1.0)
    loaded = reduced(whole, weights=str(tmp_path / "weights.safetensors"), seed=1)
    assert torch.equal(loaded.cla.depthwise.weight, trained.cla.depthwise.weight)


def test_a_bare_backbones_weights_load_and_start_the_cache(tmp_path: Path) -> None:
    torch.manual_seed(3)
    plain = Network(name=NAME).build(7, 64)
    torch.nn.init.normal_(plain.cls_token)
    save_file(plain.state_dict(), tmp_path / "plain.safetensors")
    model = reduced(settings("evit"), weights=str(tmp_path / "plain.safetensors"))
    assert torch.equal(model.backbone.blocks[5].mlp.fc1.weight, plain.blocks[5].mlp.fc1.weight)
    assert torch.equal(model.clr, plain.cls_token)


def test_weights_of_other_settings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(reduced(settings("evit")).state_dict(), path)
    with pytest.raises(InputError, match="do not fit this token reduction: cla"):
        reduced(settings("evit", clca=False), weights=str(path))
    save_file(reduced(settings("sit")).state_dict(), path)
    with pytest.raises(InputError, match=r"token reduction: reducers\.3"):
        reduced(Reduction(method="sit", keep_rate=0.7, cla=True, clr_tokens=1), weights=str(path))


def test_patches_may_not_be_dropped_at_random_too() -> None:
    with pytest.raises(InputError, match="patch_drop_rate above 0, and token reduction"):
        Network(name=NAME, reduction=settings("evit"), options={"patch_drop_rate": 0.5}).build(7)


def test_soft_merging_serves_one_setting() -> None:
    with pytest.raises(InputError, match="the weights of sit fit one keep rate"):
        settings("sit").at(0.7)
    with pytest.raises(InputError, match="the weights of patchmerger fit one input size"):
        settings("patchmerger").check_size(96, 64)
    with pytest.raises(InputError, match="36 patches for a sit model of 16"):
        reduced(settings("sit"), name="vitfs_nano")(torch.randn(1, 3, 96, 96))
