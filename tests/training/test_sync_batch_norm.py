"""Two processes' halves of a batch are normalised as the whole batch is by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import NamedTuple

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, distributed, nn
from two_processes import Pair, two_processes

from edge_fgir.models.vitfs import TokenBatchNorm
from edge_fgir.training.sync_batch_norm import SyncBatchNormMode

pytestmark = pytest.mark.unit

CHANNELS, PICTURES = 5, 6
LAYERS: dict[str, Callable[[], nn.Module]] = {
    "vectors": lambda: nn.BatchNorm1d(CHANNELS),
    "maps": lambda: nn.BatchNorm2d(CHANNELS, momentum=0.3, eps=1e-3),
    "without weights": lambda: nn.BatchNorm2d(CHANNELS, affine=False),
    "without running statistics": lambda: nn.BatchNorm2d(CHANNELS, track_running_stats=False),
    "with activation": lambda: BatchNormAct2d(CHANNELS, act_layer=nn.SiLU),
    "tokens": lambda: TokenBatchNorm(CHANNELS),
    "frozen": lambda: nn.BatchNorm2d(CHANNELS).eval(),
}
SHAPES = {"vectors": (PICTURES, CHANNELS), "tokens": (PICTURES, 7, CHANNELS)}
MAPS = (PICTURES, CHANNELS, 4, 3)


class Normalised(NamedTuple):
    """What a layer made of a process's pictures, and what flowed back."""

    values: Tensor
    of_input: Tensor
    of_layer: dict[str, Tensor]
    buffers: dict[str, Tensor]


def normalise(name: str, dtype: torch.dtype) -> Normalised:
    """Let a layer see this process's share of a batch, twice; alone, the whole of it."""
    torch.manual_seed(0)
    layer = LAYERS[name]()
    for weight in layer.parameters():
        nn.init.uniform_(weight, 0.5, 2)
    shape = SHAPES.get(name, MAPS)
    # The halves differ in mean and spread: on its own, each would be normalised otherwise.
    kind = torch.arange(PICTURES).view(-1, *[1] * (len(shape) - 1)) >= PICTURES // 2
    images = torch.where(kind, 4 + 3 * torch.randn(shape), torch.randn(shape)).to(dtype)
    wanted = torch.randn(shape).to(dtype)
    count = distributed.get_world_size() if distributed.is_initialized() else 1
    rank = distributed.get_rank() if count > 1 else 0
    own = images.chunk(count)[rank].clone().requires_grad_()
    with SyncBatchNormMode() if count > 1 else nullcontext():
        layer(own.detach())
        values = layer(own)
    (values * wanted.chunk(count)[rank]).sum().backward()
    assert own.grad is not None
    gradients = {key: p.grad for key, p in layer.named_parameters() if p.grad is not None}
    return Normalised(values.detach(), own.grad, gradients, dict(layer.named_buffers()))


def normalise_in_one_of_two(name: str, dtype: torch.dtype) -> Normalised:
    """Do so as one of two processes."""
    if not distributed.is_initialized():
        distributed.init_process_group("gloo")
    return normalise(name, dtype)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with two_processes() as pair:
        yield pair


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_halves_are_normalised_as_the_whole(pair: Pair, name: str, dtype: torch.dtype) -> None:
    whole = normalise(name, dtype)
    first, second = pair(normalise_in_one_of_two, name, dtype)
    close = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 0.02, "atol": 0.05}

    def same(ours: Tensor, theirs: Tensor) -> None:
        torch.testing.assert_close(ours, theirs, **close)

    same(torch.cat([first.values, second.values]), whole.values)
    same(torch.cat([first.of_input, second.of_input]), whole.of_input)
    assert first.of_layer.keys() == second.of_layer.keys() == whole.of_layer.keys()
    for key, value in whole.of_layer.items():
        same(first.of_layer[key] + second.of_layer[key], value)
    for key, value in whole.buffers.items():
        same(first.buffers[key], value)
        assert torch.equal(first.buffers[key], second.buffers[key])
