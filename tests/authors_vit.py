"""GLSim, ILA and token reduction with CLCA by the authors' names (docs/science)."""

from __future__ import annotations

from math import ceil, floor, isqrt

import torch
import torch.nn.functional as F
from authors import (
    CLASSES,
    PATCH,
    Maker,
    OwnViT,
    State,
    TimmViT,
    batch_norm,
    conv,
    layer_norm,
    linear,
)
from torch import Tensor

# GLSim


def make_glsim(maker: Maker, dim: int, depth: int, grid: int, *, port: bool = False) -> None:
    """Make GLSim around the authors' own ViT, or of the port of timm's."""
    if port:
        TimmViT.make(maker, dim, depth, grid)
        maker.layer_norm("norm", dim)
        TimmViT.make_block(maker, "aggregator.0", dim)
        maker.layer_norm("aggregator.1", dim)
        maker.draw("cls_token_crops", 1, 1, dim)
    else:
        OwnViT.make(maker, dim, depth, grid)
        OwnViT.make_block(maker, "aggregator.blocks.0", dim)
        maker.layer_norm("aggregator_norm", dim)
        maker.draw("anchor_class_token", 1, 1, dim)
    maker.linear("head", CLASSES, dim)


def glsim(state: State, images: Tensor, depth: int, top: int = 8, metric: str = "cos") -> Tensor:
    """Return logits of two passes, both with the first class token."""
    x = OwnViT.encode(state, OwnViT.embed(state, images), depth)
    crops = cut(x, images, top, metric)
    again = OwnViT.encode(state, OwnViT.embed(state, crops), depth)
    pair = torch.cat((x[:, :1], again[:, :1]), dim=1)
    fused = OwnViT.block(state, "aggregator.blocks.0", pair)
    return linear(state, "head", layer_norm(state, "aggregator_norm", fused, 1e-12)[:, 0])


def glsim_port(state: State, images: Tensor, depth: int, top: int = 8) -> Tensor:
    """Return logits of two passes, the second with its own class token."""

    def encode(images: Tensor, token: str) -> Tensor:
        x = conv(state, "patch_embed.proj", images, PATCH).flatten(2).transpose(1, 2)
        x = torch.cat((state[token].expand(len(x), -1, -1), x), dim=1) + state["pos_embed"]
        for index in range(depth):
            x = TimmViT.block(state, f"blocks.{index}", x)
        return layer_norm(state, "norm", x, 1e-6)

    x = encode(images, "cls_token")
    again = encode(cut(x, images, top, "cos"), "cls_token_crops")
    pair = torch.cat((x[:, :1], again[:, :1]), dim=1)
    fused = layer_norm(state, "aggregator.1", TimmViT.block(state, "aggregator.0", pair), 1e-5)
    return linear(state, "head", fused[:, 0])


def cut(x: Tensor, images: Tensor, top: int, metric: str) -> Tensor:
    whole, local = x[:, :1], x[:, 1:]
    side, grid = images.shape[-1], isqrt(local.shape[1])
    if metric == "cos":
        score = F.cosine_similarity(whole, local, dim=2)
    else:
        apart = (whole - local).abs()
        score = -(apart if metric == "l1" else apart * apart).mean(dim=2)
    crops = []
    for image, values in zip(images, score, strict=True):
        best = values.sort(descending=True).indices[:top].tolist()
        rows, columns = [i // grid for i in best], [i % grid for i in best]
        edges = []
        for places in (rows, columns):
            start = PATCH * min(places)
            edges += [start, max(PATCH * max(places), start + PATCH)]
        part = image[None, :, edges[0] : edges[1], edges[2] : edges[3]]
        crops.append(F.interpolate(part, (side, side), mode="bilinear", align_corners=True))
    return torch.cat(crops)


# ILA


def make_ila(maker: Maker, dim: int, depth: int, grid: int, shrinking: tuple, variant: str) -> None:
    OwnViT.make(maker, dim, depth, grid)
    for number in range(len(shrinking)):
        _make_adapter(maker, f"encoder.ila_ds.{number}", dim)
        maker.draw(f"encoder.ila_ds.{number}.ds_conv.weight", dim, 1, 3, 3, scale=0.02, mean=0.3)
    if variant == "ila+":
        for number in range(depth - len(shrinking)):
            _make_adapter(maker, f"encoder.ila.{number}", dim)
    if variant == "ila++":
        for index in range(depth):
            for part in ("adapter_attn", "adapter_pwffn"):
                name = f"encoder.blocks.{index}.{part}"
                maker.linear(f"{name}.adapter_down", 8, dim)
                maker.linear(f"{name}.adapter_up", dim, 8)
    maker.linear("head.head", CLASSES, dim)


def _make_adapter(maker: Maker, name: str, dim: int, width: int = 8) -> None:
    maker.linear(f"{name}.adapter_down", width, dim)
    maker.linear(f"{name}.adapter_up", dim, width)
    for norm in ("norm1.1", "adapter_conv.1.0", "norm3.1"):
        maker.batch_norm(f"{name}.{norm}", width)
    maker.conv(f"{name}.adapter_cls", width, width, 1)
    maker.conv(f"{name}.adapter_conv.0", width, 1, 3)
    maker.conv(f"{name}.adapter_conv.2", width, width, 1)


def ila(state: State, images: Tensor, depth: int, shrinking: tuple[int, ...]) -> Tensor:
    plus = "encoder.ila.0.adapter_down.weight" in state
    inside = "encoder.blocks.0.adapter_attn.adapter_down.weight" in state
    others = [index for index in range(depth) if index not in shrinking]

    def beside(name: str, y: Tensor) -> Tensor:
        down = F.gelu(linear(state, f"{name}.adapter_down", y))
        return linear(state, f"{name}.adapter_up", down)

    x = OwnViT.embed(state, images)
    for index in range(depth):
        x = OwnViT.block(state, f"encoder.blocks.{index}", x, beside if inside else None)
        if index in shrinking:
            x = _adapter(state, f"encoder.ila_ds.{shrinking.index(index)}", x, padding=0)
        elif plus:
            x = _adapter(state, f"encoder.ila.{others.index(index)}", x, padding=1)
    return linear(state, "head.head", layer_norm(state, "encoder_norm", x, 1e-12)[:, 0])


def _adapter(state: State, name: str, x: Tensor, padding: int) -> Tensor:
    def normed(layer: str, z: Tensor) -> Tensor:
        return batch_norm(state, f"{name}.{layer}", z.transpose(1, 2)).transpose(1, 2)

    side = isqrt(x.shape[1] - 1)
    z = F.gelu(normed("norm1.1", linear(state, f"{name}.adapter_down", x)))
    maps = z[:, 1:].transpose(1, 2).unflatten(2, (side, side))
    maps = batch_norm(
        state, f"{name}.adapter_conv.1.0", conv(state, f"{name}.adapter_conv.0", maps, 1, padding)
    )
    maps = conv(state, f"{name}.adapter_conv.2", F.gelu(maps))
    first = conv(state, f"{name}.adapter_cls", z[:, :1].transpose(1, 2)[..., None])[..., 0]
    y = torch.cat((first, maps.flatten(2)), dim=2).transpose(1, 2)
    y = linear(state, f"{name}.adapter_up", F.gelu(normed("norm3.1", y)))
    if f"{name}.ds_conv.weight" in state:
        maps = x[:, 1:].transpose(1, 2).unflatten(2, (side, side))
        local = conv(state, f"{name}.ds_conv", maps).flatten(2).transpose(1, 2)
        x = torch.cat((x[:, :1], local), dim=1)
    return x + y


# Token reduction and CLCA


def make_clca(
    maker: Maker,
    method: str,
    dim: int,
    depth: int,
    grid: int,
    stages: int,
    rate: float,
    *,
    cla: str = "depthwise",
    tokens: int = 1,
    **form: bool,
) -> None:
    TimmViT.make(maker, dim, depth, grid, more=tokens, **form)
    if tokens:
        maker.draw("clr", 1, tokens, dim)
    for stage in range(stages):
        left = floor(grid**2 * rate ** (stage + 1))
        name = f"cluster_layers.{stage}"
        if method == "dyvit":
            name = f"score_predictor.{stage}"
            maker.layer_norm(f"{name}.in_conv.0", dim)
            maker.linear(f"{name}.in_conv.1", dim, dim)
            for place, sizes in ((0, (2, 1)), (2, (4, 2))):
                maker.linear(f"{name}.out_conv.{place}", dim // sizes[0], dim // sizes[1])
            maker.linear(f"{name}.out_conv.4", 2, dim // 4)
        elif method == "dpcknn":
            maker.linear(f"{name}.score", 1, dim)
        elif method == "sit":
            maker.layer_norm(f"{name}.weight.0", dim)
            maker.linear(f"{name}.weight.1", dim // 2, dim)
            maker.linear(f"{name}.weight.3", left, dim // 2)
            maker.draw(f"{name}.scale", 1, 1, 1)
        elif method == "patchmerger":
            maker.layer_norm(f"{name}.norm", dim)
            maker.draw(f"{name}.queries", left, dim, scale=0.3)
    maker.linear("head", 1000 if cla else CLASSES, dim)
    if cla == "depthwise":
        maker.batch_norm("ifa_head.0.0", dim)
        maker.conv("ifa_head.0.1", 2 * dim, 1, stages + 1, flat=1)
        maker.batch_norm("ifa_head.0.2", 2 * dim)
        maker.conv("ifa_head.0.4", CLASSES, 2 * dim, 1, flat=1)
    elif cla == "linear":
        maker.linear("ifa_head.0.0", 1, stages + 1)
        maker.layer_norm("ifa_head.0.3", dim)
        maker.linear("ifa_head.0.4", CLASSES, dim)
    else:
        maker.layer_norm("norm", dim)


class CLCA:
    """The authors' forward for one image at a time, in evaluation."""

    def __init__(
        self,
        state: State,
        method: str,
        depth: int,
        blocks: tuple[int, ...],
        rate: float,
        *,
        gap: bool = True,
        at_last: bool = True,
        eps: float = 1e-6,
    ) -> None:
        self.state, self.method, self.blocks, self.rate = state, method, blocks, rate
        self.depth, self.gap, self.eps = depth, gap, eps
        self.recover = {*blocks, depth - 2} if at_last else {*blocks}
        self.tokens = state["clr"].shape[1] if "clr" in state else 0

    def __call__(self, images: Tensor) -> Tensor:
        before, TimmViT.eps = TimmViT.eps, self.eps
        try:
            return torch.cat([self._one(image[None]) for image in images])
        finally:
            TimmViT.eps = before

    def _embed(self, image: Tensor) -> Tensor:
        state = self.state
        x = conv(state, "patch_embed.proj", image, PATCH).flatten(2).transpose(1, 2)
        self.patches = x.shape[1]
        table = state["pos_embed"]
        apart = table.shape[1] == x.shape[1]
        x = torch.cat((state["cls_token"], x + table if apart else x), dim=1)
        if self.tokens:
            x = torch.cat((x, state["clr"]), dim=1)
        x = x if apart else x + table
        return layer_norm(state, "norm_pre", x, self.eps) if "norm_pre.weight" in state else x

    def _one(self, image: Tensor) -> Tensor:
        state, x = self.state, self._embed(image)
        self.sizes = torch.ones(x.shape[1])
        self.counted = torch.ones(x.shape[1] - 1)
        self.suffix = self.tokens
        pooled, cache, summaries, stage = x.shape[1] - self.tokens, [], [], 0
        for index in range(self.depth):
            if index in self.blocks and self.method != "vit":
                x = getattr(self, f"_{self.method}")(f"blocks.{index}", x, stage)
                stage += 1
            else:
                x = self._plain(f"blocks.{index}", x)
            if self.tokens and index in self.recover:
                pooled = x.shape[1]
                back = torch.cat(cache, dim=1)
                x, cache = torch.cat((x, back), dim=1), []
                self.sizes = torch.cat((self.sizes, torch.ones(back.shape[1])))
                self.counted = torch.cat((self.counted, torch.zeros(back.shape[1])))
                self.suffix += back.shape[1]
            if self.tokens and index < max(self.recover):
                if self.gap:
                    cache.append(x[:, 1:pooled].mean(dim=1, keepdim=True))
                cache.append(x[:, -self.tokens :])
            if index in self.blocks or index == self.depth - 1:
                summaries.append(x[:, 0])
        if "ifa_head.0.2.weight" in state:
            y = batch_norm(state, "ifa_head.0.0", torch.stack(summaries, dim=2))
            weight = state["ifa_head.0.1.weight"]
            y = F.conv1d(y, weight, state["ifa_head.0.1.bias"], groups=y.shape[1])
            y = F.gelu(batch_norm(state, "ifa_head.0.2", y))
            return F.conv1d(y, state["ifa_head.0.4.weight"], state["ifa_head.0.4.bias"])[..., 0]
        if "ifa_head.0.3.weight" in state:
            y = F.relu(linear(state, "ifa_head.0.0", torch.stack(summaries, dim=2)))[..., 0]
            return linear(state, "ifa_head.0.4", layer_norm(state, "ifa_head.0.3", y, 1e-5))
        return linear(state, "head", layer_norm(state, "norm", x[:, :1], self.eps)[:, 0])

    def _attend(self, name: str, x: Tensor, rows: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the stream behind attention, and the map (1, H, N, N)."""
        q, k, v = TimmViT.qkv(self.state, name, x)
        logits = q @ k.transpose(2, 3) / 8
        if self.method == "tome":
            logits = logits + self.sizes.log()
        shares = logits.softmax(dim=3)
        return TimmViT.add(self.state, name, x, shares @ v), shares

    def _plain(self, name: str, x: Tensor) -> Tensor:
        return TimmViT.mlp(self.state, name, self._attend(name, x)[0])

    def _evit(self, name: str, x: Tensor, stage: int, fuse: bool = True) -> Tensor:
        x, shares = self._attend(name, x)
        scores = shares[0, :, 0, 1:].mean(dim=0)
        order = scores.sort(descending=True).indices
        count = ceil(self.rate * len(scores))
        local, kept, rest = x[0, 1:], order[:count], order[count:]
        parts = [x[0, :1], local[kept]]
        if fuse and len(rest):
            parts.append((scores[rest, None] * local[rest]).sum(dim=0, keepdim=True))
        return TimmViT.mlp(self.state, name, torch.cat(parts)[None])

    def _topk(self, name: str, x: Tensor, stage: int) -> Tensor:
        return self._evit(name, x, stage, fuse=False)

    def _tome(self, name: str, x: Tensor, stage: int) -> Tensor:
        keys = TimmViT.qkv(self.state, name, x)[1][0].mean(dim=0)
        x = self._attend(name, x)[0][0]
        planned = [floor(self.patches * self.rate**each) for each in (stage, stage + 1)]
        merges = min(planned[0] - planned[1], (len(x) - 1) // 2)
        keys = keys / keys.norm(dim=1, keepdim=True)
        even, odd = list(range(0, len(x), 2)), list(range(1, len(x), 2))
        likeness = keys[even] @ keys[odd].T
        likeness[0] = -torch.inf
        best = likeness.max(dim=1)
        order = best.values.sort(descending=True).indices.tolist()
        sums = {j: x[j] * self.sizes[j] for j in odd}
        sizes = {j: self.sizes[j] for j in odd}
        for a in order[:merges]:
            j = odd[int(best.indices[a])]
            sums[j] = sums[j] + x[even[a]] * self.sizes[even[a]]
            sizes[j] = sizes[j] + self.sizes[even[a]]
        kept = [even[a] for a in sorted(order[merges:])]
        x = torch.stack([*(x[i] for i in kept), *(sums[j] / sizes[j] for j in odd)])
        self.sizes = torch.stack([*(self.sizes[i] for i in kept), *(sizes[j] for j in odd)])
        return TimmViT.mlp(self.state, name, x[None])

    def _ats(self, name: str, x: Tensor, stage: int) -> Tensor:
        q, k, v = TimmViT.qkv(self.state, name, x)
        shares = (q @ k.transpose(2, 3) / 8).softmax(dim=3)
        significance = (shares[0, :, 0, 1:] * v[0, :, 1:].norm(dim=2)).sum(dim=0)
        cumulated = (significance / (significance.sum() + 1e-6)).cumsum(dim=0)
        count = floor(self.rate ** (stage + 1) * self.patches) + 1
        picks = {
            int((cumulated - (2 * i - 1) / (2 * count)).abs().argmin()) for i in range(1, count)
        }
        chosen = torch.tensor([0, *(pick + 1 for pick in sorted(picks))])
        attended = shares[:, :, chosen] @ v
        x = TimmViT.add(self.state, name, x[:, chosen], attended)
        return TimmViT.mlp(self.state, name, x)

    def _dyvit(self, name: str, x: Tensor, stage: int) -> Tensor:
        state, predictor = self.state, f"score_predictor.{stage}"
        y = layer_norm(state, f"{predictor}.in_conv.0", x[0, 1:], 1e-5)
        own, shared = F.gelu(linear(state, f"{predictor}.in_conv.1", y)).chunk(2, dim=1)
        mean = (shared * self.counted[:, None]).sum(dim=0) / self.counted.sum() + 1e-6
        y = torch.cat((own, mean.expand_as(own)), dim=1)
        for place in (0, 2):
            y = F.gelu(linear(state, f"{predictor}.out_conv.{place}", y))
        score = linear(state, f"{predictor}.out_conv.4", y).log_softmax(dim=1)[:, 0]
        count = floor(self.patches * self.rate ** (stage + 1))
        if self.tokens:
            count = floor((len(score) - 1) * self.rate)
        best = score.sort(descending=True).indices[:count]
        self.counted = self.counted[best]
        return self._plain(name, torch.cat((x[:, :1], x[:, 1 + best]), dim=1))

    def _dpcknn(self, name: str, x: Tensor, stage: int) -> Tensor:
        last = stage == len(self.blocks) - 1
        count = max(floor(self.patches * self.rate ** (stage + 1)), 1 if last else 5)
        end = x.shape[1] - self.suffix
        local = x[0, 1:end]
        apart = (local[:, None] - local[None]).norm(dim=2) / x.shape[2] ** 0.5
        nearest = apart.sort(dim=1).values[:, :5]
        density = (-(nearest**2).mean(dim=1)).exp()
        separation = torch.stack(
            [
                apart[i][density > density[i]].min()
                if (density > density[i]).any()
                else apart.max()
                for i in range(len(local))
            ]
        )
        centres = (separation * density).sort(descending=True).indices[:count]
        cluster = apart[centres].argmin(dim=0)
        cluster[centres] = torch.arange(count)
        weight = linear(self.state, f"cluster_layers.{stage}.score", local).exp()[:, 0]
        merged = [
            (local[cluster == c] * weight[cluster == c, None]).sum(dim=0)
            / (weight[cluster == c].sum() + 1e-6)
            for c in range(count)
        ]
        x = torch.cat((x[0, :1], torch.stack(merged), x[0, end:]))[None]
        return self._plain(name, x)

    def _sit(self, name: str, x: Tensor, stage: int) -> Tensor:
        state, layer = self.state, f"cluster_layers.{stage}"
        y = layer_norm(state, f"{layer}.weight.0", x[0, 1:], 1e-5)
        y = linear(state, f"{layer}.weight.3", F.gelu(linear(state, f"{layer}.weight.1", y)))
        shares = (y * state[f"{layer}.scale"][0]).softmax(dim=0)
        return self._plain(name, torch.cat((x[0, :1], shares.T @ x[0, 1:]))[None])

    def _patchmerger(self, name: str, x: Tensor, stage: int) -> Tensor:
        state, layer = self.state, f"cluster_layers.{stage}"
        y = layer_norm(state, f"{layer}.norm", x[0, 1:], 1e-5)
        shares = (state[f"{layer}.queries"] @ y.T).softmax(dim=1)
        return self._plain(name, torch.cat((x[0, :1], shares @ y))[None])
