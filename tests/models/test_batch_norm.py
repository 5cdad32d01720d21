import numpy as np
import pytest
import torch
from torch import nn

from edge_fgir import InputError
from edge_fgir.models import Network
from edge_fgir.models.batch_norm import reestimate
from edge_fgir.models.ila import Adapters
from edge_fgir.models.inference import logits_of, normalized_batches
from edge_fgir.runtime.manifest import Normalization

pytestmark = pytest.mark.unit

NORMALIZATION = Normalization(mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))


def pictures(count: int, size: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def test_statistics_are_the_mean_over_batches() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0.9))
    model[0].running_mean.fill_(7)
    images = pictures(64)
    reestimate(model, images, NORMALIZATION)
    (first, second) = normalized_batches(images, NORMALIZATION, torch.device("cpu"))
    mean = (first.mean((0, 2, 3)) + second.mean((0, 2, 3))) / 2
    variance = (first.var((0, 2, 3)) + second.var((0, 2, 3))) / 2
    assert torch.allclose(model[0].running_mean, mean, atol=1e-5)
    assert torch.allclose(model[0].running_var, variance, rtol=1e-4)
    assert model[0].momentum == 0.1


def test_nothing_else_changes_and_dropout_is_off() -> None:
    torch.manual_seed(0)
    model = Network(name="lrnet14", drop_path=0.5).build(3).train()
    weights = {name: p.clone() for name, p in model.named_parameters()}
    reestimate(model, pictures(40), NORMALIZATION)
    once = {name: b.clone() for name, b in model.named_buffers()}
    torch.rand(3)
    reestimate(model, pictures(40), NORMALIZATION)
    assert all(torch.equal(b, once[name]) for name, b in model.named_buffers())
    assert all(torch.equal(p, weights[name]) for name, p in model.named_parameters())
    assert model.training
    assert all(module.training for module in model.modules())


def test_no_batch_is_left_with_one_picture() -> None:
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3))
    images = pictures(33)
    reestimate(model, images, NORMALIZATION)
    parts = list(normalized_batches(images, NORMALIZATION, torch.device("cpu"), even=True))
    assert [len(part) for part in parts] == [16, 17]
    mean = torch.stack([part.mean((0, 2, 3)) for part in parts]).mean(0)
    assert torch.allclose(model[1].running_mean, mean, atol=1e-5)


def test_one_picture_has_no_deviation() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3))
    model[0].running_mean.fill_(7)
    with pytest.raises(InputError, match="1 training pictures to measure BatchNorm"):
        reestimate(model, pictures(1), NORMALIZATION)
    assert model[0].running_mean.tolist() == [7, 7, 7]
    assert model[0].momentum == 0.1


def test_statistics_that_training_holds_fast_stay() -> None:
    model = Network(name="vitfs_nano", adapters=Adapters()).build(3, 96).train()
    before = {name: each.clone() for name, each in model.backbone.named_buffers()}
    reestimate(model, pictures(4, 96), NORMALIZATION)
    assert all(torch.equal(b, before[name]) for name, b in model.backbone.named_buffers())


def test_a_network_without_batch_norm_is_left_alone() -> None:
    model = nn.Conv2d(3, 4, 3)
    before = logits_of(model, pictures(3), NORMALIZATION, "before")
    reestimate(model, pictures(3), NORMALIZATION)
    assert np.array_equal(logits_of(model, pictures(3), NORMALIZATION, "after"), before)
