import pytest
import torch
from torch import nn

from edge_fgir import InputError
from edge_fgir.models import CAL, bilinear_attention_pool, count_params, create_model

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def cal() -> CAL:
    torch.manual_seed(0)
    model = create_model("lrnet14", 5, attention_maps=4)
    assert isinstance(model, CAL)
    return model


def test_resnet101_teacher_has_the_papers_size() -> None:
    model = create_model("resnet101", 200, attention_maps=32, meta=True)
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
    assert (seen.attention >= 0).all()


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


def test_a_backbone_without_feature_maps_is_refused() -> None:
    with pytest.raises(InputError, match=r"spatial maps"):
        create_model("vit_tiny_patch16_224", 5, attention_maps=4, image_size=64)
