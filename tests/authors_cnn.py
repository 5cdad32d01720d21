"""LRNets, ResNets, ViTFS and CAL by the authors' names (docs/science/tgda.md)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from authors import CLASSES, Maker, State, batch_norm, conv, heads, linear
from torch import Tensor

WIDTHS = (64, 64, 128, 256, 512)


def make_residual(
    maker: Maker, begin: str, depths: tuple[int, ...], *, bottleneck: bool, deep: bool = False
) -> int:
    """Make an LRNet (five stages) or a ResNet (four) and return its channels."""
    lrnet = len(depths) == 5
    inputs = 32 if lrnet else 64
    if deep:
        for place, (wide, narrow) in enumerate([(18, 3), (18, 18), (32, 18)]):
            maker.conv(f"{begin}conv1.{3 * place}", wide, narrow, 3, bias=False)
            if place < 2:
                maker.batch_norm(f"{begin}conv1.{3 * place + 1}", wide)
    else:
        maker.conv(f"{begin}conv1", inputs, 3, 3 if lrnet else 7, bias=False)
    maker.batch_norm(f"{begin}bn1", inputs)
    widths = WIDTHS if lrnet else (64, 128, 256, 512)
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        outputs = width * (4 if bottleneck else 1)
        for index in range(depth):
            name = f"{begin}layer{stage + 1}.{index}"
            sides = (1, 3, 1) if bottleneck else (3, 3)
            path = (inputs, *[width] * (len(sides) - 1), outputs)
            for layer, side in enumerate(sides):
                maker.conv(
                    f"{name}.conv{layer + 1}", path[layer + 1], path[layer], side, bias=False
                )
                maker.batch_norm(f"{name}.bn{layer + 1}", path[layer + 1])
            if index == 0 and (stage > 0 or inputs != outputs):
                maker.conv(f"{name}.downsample.{int(deep)}", outputs, inputs, 1, bias=False)
                maker.batch_norm(f"{name}.downsample.{int(deep) + 1}", outputs)
            inputs = outputs
    return inputs


def residual_features(state: State, begin: str, x: Tensor) -> Tensor:
    lrnet = f"{begin}layer5.0.bn1.weight" in state
    if f"{begin}conv1.0.weight" in state:
        for place, stride in ((0, 2), (3, 1)):
            x = F.relu(
                batch_norm(
                    state,
                    f"{begin}conv1.{place + 1}",
                    conv(state, f"{begin}conv1.{place}", x, stride, 1),
                )
            )
        x = conv(state, f"{begin}conv1.6", x, 1, 1)
    else:
        x = conv(state, f"{begin}conv1", x, 2, 1 if lrnet else 3)
    x = F.relu(batch_norm(state, f"{begin}bn1", x))
    if not lrnet:
        x = F.max_pool2d(x, 3, 2, 1)
    stage = 1
    while f"{begin}layer{stage}.0.bn1.weight" in state:
        index = 0
        while f"{begin}layer{stage}.{index}.bn1.weight" in state:
            stride = 2 if stage > 1 and index == 0 else 1
            x = _residual(state, f"{begin}layer{stage}.{index}", x, stride)
            index += 1
        stage += 1
    return x


def _residual(state: State, name: str, x: Tensor, stride: int) -> Tensor:
    bottleneck = f"{name}.conv3.weight" in state
    y, strided = x, 2 if bottleneck else 1
    for layer in range(1, 4 if bottleneck else 3):
        side = state[f"{name}.conv{layer}.weight"].shape[-1]
        y = conv(state, f"{name}.conv{layer}", y, stride if layer == strided else 1, side // 2)
        y = batch_norm(state, f"{name}.bn{layer}", y)
        if f"{name}.conv{layer + 1}.weight" in state:
            y = F.relu(y)
    if f"{name}.downsample.0.weight" in state:
        x = batch_norm(
            state, f"{name}.downsample.1", conv(state, f"{name}.downsample.0", x, stride)
        )
    elif f"{name}.downsample.1.weight" in state:
        pooled = x if stride == 1 else F.avg_pool2d(x, 2, 2, 0, True, False)
        x = batch_norm(state, f"{name}.downsample.2", conv(state, f"{name}.downsample.1", pooled))
    return F.relu(x + y)


def make_vitfs(maker: Maker, begin: str, dim: int, grid: int, *, registers: int = 4) -> None:
    """Make a ViTFS with BatchNorm, whose norms lie one module deeper."""
    inputs = 3
    for index, width in enumerate((dim // 8, dim // 4, dim // 2, dim)):
        maker.conv(f"{begin}patch_embed.conv3x3layers.{index}.conv", width, inputs, 3)
        maker.batch_norm(f"{begin}patch_embed.conv3x3layers.{index}.norm", width)
        inputs = width
    maker.conv(f"{begin}patch_embed.conv1x1", dim, dim, 1, bias=False)
    if registers:
        maker.draw(f"{begin}reg_token", 1, registers, dim)
    maker.state[f"{begin}sin2d_embedding"] = sin2d(grid, dim)
    for index in range(12):
        name = f"{begin}blocks.{index}"
        maker.linear(f"{name}.attn.qkv", 3 * dim, dim)
        maker.linear(f"{name}.attn.proj", dim, dim)
        maker.linear(f"{name}.mlp.fc1", 4 * dim, dim)
        maker.linear(f"{name}.mlp.fc2", dim, 4 * dim)
        for part in ("1", "2"):
            maker.batch_norm(f"{name}.norm{part}.1", dim)
            maker.draw(f"{name}.ls{part}.gamma", dim, scale=0.1, mean=0.5)
    maker.batch_norm(f"{begin}norm.1", dim)


def sin2d(grid: int, dim: int) -> Tensor:
    n = dim // 4
    rows = []
    for y in range(grid):
        for x in range(grid):
            w = [10000 ** (-i / (n - 1)) for i in range(n)]
            rows.append(
                [math.sin(x * f) for f in w]
                + [math.cos(x * f) for f in w]
                + [math.sin(y * f) for f in w]
                + [math.cos(y * f) for f in w]
            )
    return torch.tensor(rows)


def vitfs_features(state: State, begin: str, images: Tensor) -> Tensor:
    """Return the tokens that are averaged: registers and all patches but the last four."""
    x = images
    for index in range(4):
        name = f"{begin}patch_embed.conv3x3layers.{index}"
        x = batch_norm(state, f"{name}.norm", F.relu(conv(state, f"{name}.conv", x, 2, 1)))
    x = conv(state, f"{begin}patch_embed.conv1x1", x).flatten(2).transpose(1, 2)
    count = x.shape[1]
    x = x + state[f"{begin}sin2d_embedding"]
    if f"{begin}reg_token" in state:
        x = torch.cat((state[f"{begin}reg_token"].expand(len(x), -1, -1), x), dim=1)

    def norm(name: str, x: Tensor) -> Tensor:
        return batch_norm(state, f"{name}.1", x.transpose(1, 2)).transpose(1, 2)

    for index in range(12):
        name = f"{begin}blocks.{index}"
        qkv = linear(state, f"{name}.attn.qkv", norm(f"{name}.norm1", x))
        q, k, v = (heads(part, x.shape[2] // 64) for part in qkv.chunk(3, dim=2))
        y = (q @ k.transpose(2, 3) / 8).softmax(dim=3) @ v
        y = linear(state, f"{name}.attn.proj", y.transpose(1, 2).flatten(2))
        x = x + state[f"{name}.ls1.gamma"] * y
        y = F.gelu(linear(state, f"{name}.mlp.fc1", norm(f"{name}.norm2", x)))
        x = x + state[f"{name}.ls2.gamma"] * linear(state, f"{name}.mlp.fc2", y)
    return norm(f"{begin}norm", x[:, :count])


def make_cal(maker: Maker, channels: int, maps: int) -> None:
    maker.conv("dfsm.attentions.conv", maps, channels, 1, bias=False)
    maker.batch_norm("dfsm.attentions.bn", maps)
    maker.linear("dfsm.fc", CLASSES, maps * channels, bias=False)


def cal_look(state: State, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits and the mean attention map."""
    features = residual_features(state, "encoder.", images)
    x = batch_norm(state, "dfsm.attentions.bn", conv(state, "dfsm.attentions.conv", features), 1e-3)
    attention = F.relu(x)
    pooled = torch.einsum("bmhw,bchw->bmc", attention, features).flatten(1)
    pooled = pooled / (features.shape[2] * features.shape[3])
    g = pooled.sign() * (pooled.abs() + 1e-6).sqrt()
    g = g / g.norm(dim=1, keepdim=True)
    return F.linear(100 * g, state["dfsm.fc.weight"]), attention.mean(dim=1)


def cal_full(state: State, images: Tensor) -> Tensor:
    """Return the logits of eight forwards; the mirror's crops are cut from the image as it is."""
    answers = []
    for view in (images, images.flip(3)):
        logits, maps = cal_look(state, view)
        answers.append(logits)
        for theta, padding in ((0.3, 0.1), (0.2, 0.1), (0.1, 0.05)):
            crops = [_crop(one, a, theta, padding) for one, a in zip(images, maps, strict=True)]
            answers.append(cal_look(state, torch.stack(crops))[0])
    return torch.stack(answers).mean(dim=0)


def _crop(image: Tensor, a: Tensor, theta: float, padding: float) -> Tensor:
    side = image.shape[1]
    large = F.interpolate(a[None, None], (side, side), mode="bilinear", align_corners=True)[0, 0]
    places = (large >= theta * a.max()).nonzero()
    first, last = places.min(dim=0).values.tolist(), places.max(dim=0).values.tolist()
    start = [max(int(each - padding * side), 0) for each in first]
    end = [min(int(each + padding * side), side) for each in last]
    part = image[None, :, start[0] : end[0], start[1] : end[1]]
    return F.interpolate(part, (side, side), mode="bilinear", align_corners=True)[0]


def student(state: State, features: Tensor, head: str) -> Tensor:
    """Return the logits of maps (B, C, h, w) or tokens (B, N, C)."""
    mean = features.mean((2, 3)) if features.ndim == 4 else features.mean(1)
    return linear(state, head, mean)
