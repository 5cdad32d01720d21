"""Checkpoints as the authors' code names them, and what their networks compute, written plainly.

Nothing here uses a module of ours: shapes and steps follow docs/science.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]

CLASSES = 3
PATCH = 16


class Maker:
    """Draws tensors of a state dict, seeded."""

    def __init__(self, seed: int = 0) -> None:
        self.random = torch.Generator().manual_seed(seed)
        self.state: State = {}

    def draw(self, name: str, *shape: int, scale: float = 1.0, mean: float = 0.0) -> None:
        self.state[name] = mean + scale * torch.randn(*shape, generator=self.random)

    def linear(self, name: str, outputs: int, inputs: int, *, bias: bool = True) -> None:
        self.draw(f"{name}.weight", outputs, inputs, scale=inputs**-0.5)
        if bias:
            self.draw(f"{name}.bias", outputs, scale=0.1)

    def conv(
        self, name: str, outputs: int, inputs: int, side: int, *, bias: bool = True, flat: int = 0
    ) -> None:
        shape = (outputs, inputs, *[side] * (1 if flat else 2))
        self.draw(f"{name}.weight", *shape, scale=(inputs * side**2) ** -0.5)
        if bias:
            self.draw(f"{name}.bias", outputs, scale=0.1)

    def layer_norm(self, name: str, dim: int) -> None:
        self.draw(f"{name}.weight", dim, scale=0.1, mean=1)
        self.draw(f"{name}.bias", dim, scale=0.1)

    def batch_norm(self, name: str, dim: int) -> None:
        self.layer_norm(name, dim)
        self.draw(f"{name}.running_mean", dim, scale=0.2)
        self.state[f"{name}.running_var"] = 0.5 + torch.rand(dim, generator=self.random)
        self.state[f"{name}.num_batches_tracked"] = torch.tensor(7)


def linear(state: State, name: str, x: Tensor) -> Tensor:
    return F.linear(x, state[f"{name}.weight"], state.get(f"{name}.bias"))


def conv(state: State, name: str, x: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    weight = state[f"{name}.weight"]
    groups = x.shape[1] // weight.shape[1]
    return F.conv2d(x, weight, state.get(f"{name}.bias"), stride, padding, groups=groups)


def layer_norm(state: State, name: str, x: Tensor, eps: float) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps)


def batch_norm(state: State, name: str, x: Tensor, eps: float = 1e-5) -> Tensor:
    """Normalise the channels, dimension 1, by running statistics."""
    mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    return F.batch_norm(x, mean, variance, state[f"{name}.weight"], state[f"{name}.bias"], eps=eps)


def heads(x: Tensor, count: int) -> Tensor:
    return x.unflatten(2, (count, -1)).transpose(1, 2)


def patches(state: State, name: str, images: Tensor) -> Tensor:
    return conv(state, name, images, stride=PATCH).flatten(2).transpose(1, 2)


class OwnViT:
    """The authors' own ViT: separate queries, keys and values, epsilon 1e-12."""

    eps = 1e-12

    @staticmethod
    def make(maker: Maker, dim: int, depth: int, grid: int, prefix: str = "") -> None:
        maker.conv(f"{prefix}patch_embedding", dim, 3, PATCH)
        maker.draw(f"{prefix}class_token", 1, 1, dim)
        maker.draw(f"{prefix}positional_embedding.pos_embedding", 1, grid**2 + 1, dim, scale=0.3)
        for index in range(depth):
            OwnViT.make_block(maker, f"{prefix}encoder.blocks.{index}", dim)
        maker.layer_norm(f"{prefix}encoder_norm", dim)

    @staticmethod
    def make_block(maker: Maker, name: str, dim: int) -> None:
        for part in ("attn.proj_q", "attn.proj_k", "attn.proj_v", "proj"):
            maker.linear(f"{name}.{part}", dim, dim)
        maker.linear(f"{name}.pwff.fc1", 4 * dim, dim)
        maker.linear(f"{name}.pwff.fc2", dim, 4 * dim)
        for norm in ("norm1", "norm2"):
            maker.layer_norm(f"{name}.{norm}", dim)

    @classmethod
    def embed(cls, state: State, images: Tensor, token: str = "class_token") -> Tensor:
        x = patches(state, "patch_embedding", images)
        x = torch.cat((state[token].expand(len(x), -1, -1), x), dim=1)
        return x + state["positional_embedding.pos_embedding"]

    @classmethod
    def block(cls, state: State, name: str, x: Tensor, beside: Callable | None = None) -> Tensor:
        """Run a block; ``beside`` gives what adapters add to attention and MLP."""
        count = x.shape[2] // 64
        y = layer_norm(state, f"{name}.norm1", x, cls.eps)
        q, k, v = (heads(linear(state, f"{name}.attn.proj_{p}", y), count) for p in "qkv")
        shares = (q @ k.transpose(2, 3) / math.sqrt(64)).softmax(dim=3)
        h = linear(state, f"{name}.proj", (shares @ v).transpose(1, 2).flatten(2))
        x = x + h + (beside(f"{name}.adapter_attn", y) if beside else 0)
        y = layer_norm(state, f"{name}.norm2", x, cls.eps)
        h = linear(state, f"{name}.pwff.fc2", F.gelu(linear(state, f"{name}.pwff.fc1", y)))
        return x + h + (beside(f"{name}.adapter_pwffn", y) if beside else 0)

    @classmethod
    def encode(cls, state: State, x: Tensor, depth: int) -> Tensor:
        for index in range(depth):
            x = cls.block(state, f"encoder.blocks.{index}", x)
        return layer_norm(state, "encoder_norm", x, cls.eps)


class TimmViT:
    """A ViT as timm names it."""

    eps = 1e-6

    @staticmethod
    def make(maker: Maker, dim: int, depth: int, grid: int, *, more: int = 0, **form: bool) -> None:
        """Make a ViT with ``more`` rows of positions; ``deit3``, ``clip`` or neither."""
        maker.conv("patch_embed.proj", dim, 3, PATCH, bias=not form.get("clip"))
        maker.draw("cls_token", 1, 1, dim)
        rows = grid**2 + (0 if form.get("deit3") else 1 + more)
        maker.draw("pos_embed", 1, rows, dim, scale=0.3)
        if form.get("clip"):
            maker.layer_norm("norm_pre", dim)
        for index in range(depth):
            TimmViT.make_block(maker, f"blocks.{index}", dim)
            for scale in ("ls1", "ls2") if form.get("deit3") else ():
                maker.draw(f"blocks.{index}.{scale}.gamma", dim, scale=0.1, mean=0.8)

    @staticmethod
    def make_block(maker: Maker, name: str, dim: int) -> None:
        maker.linear(f"{name}.attn.qkv", 3 * dim, dim)
        maker.linear(f"{name}.attn.proj", dim, dim)
        maker.linear(f"{name}.mlp.fc1", 4 * dim, dim)
        maker.linear(f"{name}.mlp.fc2", dim, 4 * dim)
        for norm in ("norm1", "norm2"):
            maker.layer_norm(f"{name}.{norm}", dim)

    @classmethod
    def qkv(cls, state: State, name: str, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y = linear(state, f"{name}.attn.qkv", layer_norm(state, f"{name}.norm1", x, cls.eps))
        q, k, v = (heads(part, x.shape[2] // 64) for part in y.chunk(3, dim=2))
        return q, k, v

    @staticmethod
    def add(state: State, name: str, x: Tensor, attended: Tensor) -> Tensor:
        """Add attended values (B, H, N, d) to the stream."""
        h = linear(state, f"{name}.attn.proj", attended.transpose(1, 2).flatten(2))
        return x + h * state.get(f"{name}.ls1.gamma", torch.tensor(1.0))

    @classmethod
    def mlp(cls, state: State, name: str, x: Tensor) -> Tensor:
        y = layer_norm(state, f"{name}.norm2", x, cls.eps)
        h = linear(state, f"{name}.mlp.fc2", F.gelu(linear(state, f"{name}.mlp.fc1", y)))
        return x + h * state.get(f"{name}.ls2.gamma", torch.tensor(1.0))

    @classmethod
    def block(cls, state: State, name: str, x: Tensor) -> Tensor:
        q, k, v = cls.qkv(state, name, x)
        shares = (q @ k.transpose(2, 3) / 8).softmax(dim=3)
        return cls.mlp(state, name, cls.add(state, name, x, shares @ v))
