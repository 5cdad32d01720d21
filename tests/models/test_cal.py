from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edge_fgir import InputError
from edge_fgir.models import (
    CAL,
    Network,
    bilinear_attention_pool,
    count_params,
    full_inference,
)
from edge_fgir.models.regions import crop_and_resize, crop_boxes, hot_region

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def cal() -> CAL:
    torch.manual_seed(0)
    model = Network(name="lrnet14", attention_maps=4).build(5)
    assert isinstance(model, CAL)
    return model


def test_resnet101_teacher_has_the_papers_size() -> None:
    model = Network(name="resnet101", attention_maps=32).build(200, meta=True)
    assert count_params(model) == pytest.approx(55.67e6, rel=0.01)


def test_pooled_features_are_unit_vectors_in_map_major_order() -> None:
    features = torch.rand(2, 3, 4, 4) - 0.5
    attention = torch.zeros(2, 2, 4, 4)
    attention[:, 1] = 1
    pooled = bilinear_attention_pool(features, attention)
    assert torch.allclose(pooled.norm(dim=1), torch.ones(2))
    means = features.mean((2, 3))
    expected = means.sign() * (means.abs() + 1e-6).sqrt()
    expected = nn.functional.normalize(expected, dim=1)
    second_map = nn.functional.normalize(pooled[:, 3:], dim=1)
    assert torch.allclose(second_map, expected, atol=1e-4)
    assert pooled[:, :3].abs().max() < 0.05


def test_logits_are_the_head_on_a_hundredfold_embedding(cal: CAL) -> None:
    cal.eval()
    seen = cal.look(torch.rand(2, 3, 64, 64))
    assert torch.allclose(seen.logits, cal.head(100 * seen.embedding), atol=1e-4)
    assert seen.effect is None
    assert cal.head.bias is None
    assert (seen.attention >= 0).all()  # type: ignore[unreachable]


def test_counterfactual_is_random_in_training_and_fixed_in_evaluation(cal: CAL) -> None:
    x = torch.rand(2, 3, 64, 64)
    cal.eval()
    with torch.no_grad():
        first, second = (cal.look(x, counterfactual=True).effect for _ in range(2))
        assert torch.equal(first, second)
        seen = cal.look(x, counterfactual=True)
        ones = torch.ones_like(seen.attention)
        pooled = bilinear_attention_pool(cal.backbone.forward_features(x), ones)
        assert torch.allclose(seen.effect, seen.logits - cal.head(100 * pooled), atol=1e-3)
        cal.train()
        first, second = (cal.look(x, counterfactual=True).effect for _ in range(2))
        assert not torch.allclose(first, second)


def record_forwards(cal: CAL, monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Return the inputs of the backbone's forwards, filled as they happen."""
    inputs: list[torch.Tensor] = []
    forward = cal.backbone.forward_features

    def recorded(x: torch.Tensor) -> torch.Tensor:
        inputs.append(x)
        return forward(x)

    monkeypatch.setattr(cal.backbone, "forward_features", recorded)
    return inputs


def test_full_inference_is_eight_forwards_averaged(
    cal: CAL, monkeypatch: pytest.MonkeyPatch
) -> None:
    cal.eval()
    x = torch.rand(2, 3, 64, 64)
    inputs = record_forwards(cal, monkeypatch)
    with torch.no_grad():
        found = full_inference(cal, x)
        assert len(inputs) == 8
        views = list(inputs)
        for start, view in ((0, x), (4, x.flip(3))):
            assert torch.equal(views[start], view)
            maps = cal.look(view).attention.mean(1)
            triples = zip((0.3, 0.2, 0.1), (0.1, 0.1, 0.05), strict=True)
            for index, (theta, padding) in enumerate(triples, start + 1):
                hot = hot_region(maps, torch.full((2,), theta), (64, 64))
                crop = crop_and_resize(view, crop_boxes(hot, padding))
                assert torch.equal(views[index], crop)
        expected = torch.stack([cal(view) for view in views]).mean(0)
    assert torch.allclose(found, expected, atol=1e-5)


def test_a_single_forward_is_there_too(cal: CAL, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = record_forwards(cal.eval(), monkeypatch)
    cal(torch.rand(1, 3, 64, 64))
    assert len(inputs) == 1


def test_counterfactual_attention_is_uniform_up_to_two(
    cal: CAL, monkeypatch: pytest.MonkeyPatch
) -> None:
    pooled = []

    def pool(features: torch.Tensor, attention: torch.Tensor) -> torch.Tensor:
        pooled.append(attention)
        return bilinear_attention_pool(features, attention)

    monkeypatch.setattr("edge_fgir.models.cal.bilinear_attention_pool", pool)
    torch.manual_seed(0)
    cal.train().look(torch.rand(8, 3, 128, 128), counterfactual=True)
    fake = pooled[1]
    assert fake.shape == pooled[0].shape == (8, 4, 4, 4)
    assert fake.min() >= 0
    assert 1.98 < fake.max() < 2
    assert fake.mean().item() == pytest.approx(1, abs=0.05)
    assert fake.std().item() == pytest.approx(3**-0.5, abs=0.03)


def test_what_the_backbone_does_not_decay_is_not_decayed() -> None:
    model = CAL(Network(name="vit_tiny_patch16_224").build(0, 64), 3, 4, 64)
    named = dict(model.named_parameters())
    assert "backbone.pos_embed" in model.no_weight_decay()
    assert named["backbone.pos_embed"].ndim > 1
    assert CAL(Network(name="lrnet14").build(0), 3, 4).no_weight_decay() == set()


def test_a_teacher_goes_on_from_its_own_weights_or_a_backbones(cal: CAL, tmp_path: Path) -> None:
    whole, backbone = tmp_path / "whole.safetensors", tmp_path / "backbone.safetensors"
    save_file(cal.state_dict(), whole)
    save_file(cal.backbone.state_dict(), backbone)
    network = Network(name="lrnet14", attention_maps=4)
    for path, learned in ((whole, cal), (backbone, cal.backbone)):
        built = network.build(5, weights=str(path))
        own = (built if learned is cal else built.get_submodule("backbone")).state_dict()
        assert all(torch.equal(own[name], value) for name, value in learned.state_dict().items())
    with pytest.raises(InputError, match="do not fit this CAL network"):
        network.build(6, weights=str(whole))
