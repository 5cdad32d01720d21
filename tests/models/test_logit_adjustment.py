import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edge_fgir import InputError
from edge_fgir.evaluation import macro
from edge_fgir.models import Network
from edge_fgir.models.logit_adjustment import adjustment, best_tau, with_adjustment
from edge_fgir.models.reduction import Reduction

pytestmark = pytest.mark.unit

COUNTS = (200, 50, 10, 1)


class TwoHeads(nn.Module):
    """Two classifiers whose answers are averaged, as a distilled transformer's."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(3, 4)  # as many outputs as there are classes
        self.heads = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4, bias=False)])

    def forward(self, x: Tensor) -> Tensor:
        features = self.body(x.mean((2, 3))).relu()
        return (self.heads[0](features) + self.heads[1](features)) / 2


def networks() -> dict:
    reduction = Reduction(method="evit", keep_rate=0.5, cla=True, clr_tokens=1)
    vit = "vit_tiny_patch16_224"
    return {
        "lrnet14": lambda: Network(name="lrnet14").build(4),
        "vitfs_nano": lambda: Network(name="vitfs_nano").build(4, 64),
        "vit": lambda: Network(name=vit).build(4, 64),
        "clca": lambda: Network(name=vit, reduction=reduction).build(4, 64),
        "cal": lambda: Network(name="lrnet14", attention_maps=4).build(4),
        "resnet18": lambda: Network(name="resnet18").build(4),
        "two heads": TwoHeads,
    }


@pytest.mark.parametrize("name", networks())
def test_logits_are_the_adjusted_ones(name: str) -> None:
    torch.manual_seed(0)
    model = networks()[name]().eval()
    images = torch.randn(3, 3, 64, 64)
    added = adjustment(COUNTS, 1.0)
    with torch.inference_mode():
        wanted = model(images) + torch.from_numpy(added)
        with_adjustment(model, added, 64)
        assert (model(images) - wanted).abs().max() < 1e-5


def test_what_is_added_is_the_negative_logarithm_of_the_share() -> None:
    assert adjustment((3, 1), 2.0) == pytest.approx([-2 * np.log(0.75), -2 * np.log(0.25)])
    assert adjustment((3, 1), 0.0) == pytest.approx([0, 0])
    assert adjustment((3, 0), 1.0) == pytest.approx([-np.log(0.75), -np.log(0.25)])


def test_a_run_without_counts_is_one_line() -> None:
    with pytest.raises(InputError, match="does not know its training pictures a class"):
        adjustment((), 1.0)


def test_a_network_without_a_linear_head_is_refused_and_left_as_it_was() -> None:
    class Cosine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(x.mean((2, 3))).softmax(1)

    model = Cosine().eval()
    before = model.head.bias.detach().clone()
    with pytest.raises(InputError, match="whose logits no linear layer gives"):
        with_adjustment(model, adjustment(COUNTS, 1.0), 32)
    assert torch.equal(model.head.bias, before)


def test_the_best_tau_is_that_of_the_macro_accuracy() -> None:
    """Logits that carry the prior with a weight of 0.7 are put right by a tau of 0.7."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 500)
    logits = random.normal(0, 1, (2000, 4)).astype(np.float32)
    logits[np.arange(2000), labels] += 2
    logits -= 0.7 * adjustment(COUNTS, 1.0)
    tau = best_tau(logits, labels, COUNTS)
    assert tau == pytest.approx(0.7, abs=0.2)
    assert macro(logits + adjustment(COUNTS, tau), labels) >= macro(logits, labels) + 10
    even = random.normal(0, 1, (40, 4)).astype(np.float32)
    assert best_tau(even, even.argmax(1), (5, 5, 5, 5)) == 0


def test_a_tau_of_nothing_changes_nothing() -> None:
    model = TwoHeads().eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with_adjustment(model, adjustment(COUNTS, 0.0), 32)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
