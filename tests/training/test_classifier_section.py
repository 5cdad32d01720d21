"""The classifier at a network's end: which layer it is, and what normalising does to it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edge_fgir import InputError
from edge_fgir.models import Network
from edge_fgir.training.classifier import linear_classifier, normalize_classifier

pytestmark = pytest.mark.unit

DIRECTIONS = torch.eye(3)
"""Of the three classes' weights."""


def loud(lengths: tuple[float, ...], bias: float = 0.0) -> nn.Linear:
    """A classifier whose classes point in their own directions, some of them loudly."""
    layer = nn.Linear(3, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(lengths)[:, None] * DIRECTIONS)
        layer.bias.fill_(0.0)
        layer.bias[0] = bias
    return layer


FEATURES = torch.tensor([[1.0, 0.2, 0.1], [0.6, 1.0, 0.1], [0.5, 0.2, 1.0], [0.4, 0.1, 1.0]])
LABELS = torch.tensor([0, 1, 2, 2])


@pytest.mark.parametrize("bias", [0.0, 2.0])
def test_loud_classes_are_turned_down_where_that_helps(bias: float) -> None:
    layer = loud((4.0, 1.0, 0.5), bias)
    logits = layer(FEATURES).detach()
    assert (logits.argmax(1) == LABELS).float().mean() == 0.25
    tau = normalize_classifier(layer, logits, LABELS)
    assert tau is not None
    assert (layer(FEATURES).argmax(1) == LABELS).all()
    norms = torch.tensor([4.0, 1.0, 0.5])
    assert torch.allclose(layer.weight.norm(dim=1), norms ** (1 - tau))
    assert not layer.bias.any()


def test_a_classifier_that_is_right_is_left_alone() -> None:
    layer = loud((1.0, 1.1, 1.2), 0.01)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    assert normalize_classifier(layer, layer(FEATURES).detach(), LABELS) is None
    assert all(torch.equal(before[name], value) for name, value in layer.state_dict().items())


def test_the_layer_whose_outputs_are_the_logits() -> None:
    model = Network(name="lrnet14").build(4)
    assert linear_classifier(model, "a wish", "do without") is model.head
    with pytest.raises(InputError, match=r"a wish, a network without a linear classifier; .*do w"):
        linear_classifier(nn.Linear(2, 2), "a wish", "do without")
