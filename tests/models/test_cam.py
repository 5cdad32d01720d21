from typing import Any

import pytest
import torch

from edge_fgir import InputError
from edge_fgir.models import Network, class_activation_maps
from edge_fgir.models.glsim.options import GLSimOptions
from edge_fgir.models.ila import Adapters
from edge_fgir.models.reduction import Reduction

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", ["lrnet14", "tf_efficientnet_lite0", "vitfs_nano"])
def test_mean_of_the_evidence_is_the_logit_of_the_predicted_class(name: str) -> None:
    """Averaged over positions, a map before its cut at zero is the logit without its bias."""
    torch.manual_seed(0)
    model = Network(name=name).build(5, 64).eval()
    x = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        torch.nn.init.normal_(model.get_classifier().bias)
        logits = model(x)
        chosen = logits.argmax(1)
        bias = model.get_classifier().bias[chosen]
        found, maps = class_activation_maps(model, x)
        assert torch.equal(found, logits)
        model.get_classifier().weight.neg_()
        model.get_classifier().bias.copy_(torch.eye(5)[chosen[0]] * 1e6)
        _, opposite = class_activation_maps(model, x[chosen == chosen[0]])
    assert maps.ndim == 3
    assert (maps >= 0).all()
    same = maps[chosen == chosen[0]] - opposite
    evidence = (logits.amax(1) - bias)[chosen == chosen[0]]
    assert torch.allclose(same.mean((1, 2)), evidence, rtol=1e-3, atol=1e-4)


def test_map_is_where_the_class_is() -> None:
    model = Network(name="lrnet14").build(2).eval()
    features = torch.zeros(1, 512, 4, 4)
    features[0, 7, 1, 2] = 3
    features[0, 8, 3, 3] = 1
    with torch.no_grad():
        model.forward_features = lambda x: features  # type: ignore[assignment]
        model.head.weight.zero_()
        model.head.weight[1, 7] = 2  # for the predicted class
        model.head.weight[1, 8] = -1  # against it
        model.head.weight[0, 8] = 1
        _, maps = class_activation_maps(model, torch.zeros(1, 3, 128, 128))
    expected = torch.zeros(1, 4, 4)
    expected[0, 1, 2] = 6
    assert torch.equal(maps, expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"reduction": Reduction(method="evit", keep_rate=0.5)},
        {"adapters": Adapters()},
        {"glsim": GLSimOptions()},
    ],
    ids=["reduction", "adapters", "glsim"],
)
def test_what_stands_around_a_transformer_gives_no_maps(changes: dict[str, Any]) -> None:
    model = Network(name="vit_tiny_patch16_224", **changes).build(5, 96).eval()
    with pytest.raises(InputError, match="gives no class activation maps"):
        class_activation_maps(model, torch.zeros(1, 3, 96, 96))


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "deit_tiny_distilled_patch16_224"])
def test_models_with_another_head_are_refused(name: str) -> None:
    model = Network(name=name).build(5, meta=True).eval()
    with pytest.raises(InputError, match=r"expected one linear layer on its \d+ feature channels"):
        class_activation_maps(model, torch.zeros(1, 3, 224, 224, device="meta"))
