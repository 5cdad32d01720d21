import pytest
import torch
import torch.nn.functional as F

from edge_fgir.training.losses import FeatureCentres, distillation

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("temperature", [0.7, 2.0])
def test_distillation_is_kl_of_softened_outputs(temperature: float) -> None:
    student, teacher = torch.randn(4, 5), torch.randn(4, 5)
    p = F.softmax(teacher / temperature, 1)
    q = F.softmax(student / temperature, 1)
    kl = (p * (p / q).log()).sum(1).mean()
    assert distillation(student, teacher, temperature, False).item() == pytest.approx(
        kl.item(), abs=1e-5
    )
    scaled = distillation(student, teacher, temperature, True).item()
    assert scaled == pytest.approx(kl.item() * temperature**2, abs=1e-5)


def test_centres_move_by_the_momentum_toward_the_embedding() -> None:
    centres = FeatureCentres(3, 2)
    g = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    loss = centres.loss(g, torch.tensor([0, 2]))
    assert loss.item() == pytest.approx(1.0)  # zero centres normalise to zero
    assert torch.allclose(centres.values, torch.tensor([[0.05, 0], [0, 0], [0, 0.05]]))
    assert centres.loss(g, torch.tensor([0, 2])).item() == pytest.approx(0.0, abs=1e-6)


def test_of_two_images_of_a_class_the_last_moves_the_centre() -> None:
    centres = FeatureCentres(1, 2)
    centres.loss(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0]))
    assert torch.allclose(centres.values, torch.tensor([[0.0, 0.05]]))


def test_centre_loss_pulls_the_embedding_only() -> None:
    centres = FeatureCentres(2, 3)
    g = torch.rand(2, 3, requires_grad=True)
    centres.loss(g, torch.tensor([0, 1])).backward()
    assert g.grad is not None
    assert g.grad.abs().sum() > 0
    assert not centres.values.requires_grad
