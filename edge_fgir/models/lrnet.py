"""LRNets: ResNets for low-resolution input (arXiv 2507.12157; docs/science/tgda.md#lrnets).

A ResNet reaches stride 4 before its first block. An LRNet keeps the detail: one strided 3x3 stem
convolution, a stage at stride 2, and four strided stages, without pooling before the global mean.
The ``d`` form has a deeper stem and pools on its shortcuts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from timm.layers import DropPath
from torch import Tensor, nn

from edge_fgir.models.registration import register_family

_STEM = ((32, 2),)
_DEEP_STEM = ((18, 2), (18, 1), (32, 1))
_WIDTHS = (64, 64, 128, 256, 512)
_STRIDES = (1, 2, 2, 2, 2)


@dataclass(frozen=True)
class LRNetConfig:
    """Block type and the number of blocks in each of the five stages.

    ``deep``: three stem convolutions, and strided shortcuts that pool and then convolve (``d``).
    """

    block: Literal["basic", "bottleneck"]
    depths: tuple[int, int, int, int, int]
    deep: bool = False


_PAPER = {
    "lrnet14": LRNetConfig("basic", (1, 2, 1, 1, 1)),
    "lrnet18": LRNetConfig("basic", (2, 2, 2, 1, 1)),
    "lrnet26": LRNetConfig("bottleneck", (2, 2, 2, 1, 1)),
    "lrnet50": LRNetConfig("bottleneck", (3, 3, 3, 4, 3)),
}

CONFIGS: dict[str, LRNetConfig] = {
    **_PAPER,
    "lrnet24": LRNetConfig("basic", (2, 2, 2, 3, 2)),
    "lrnet28": LRNetConfig("basic", (2, 2, 2, 4, 3)),
    "lrnet34": LRNetConfig("basic", (3, 3, 3, 4, 3)),
    "lrnet35": LRNetConfig("bottleneck", (2, 2, 2, 3, 2)),
    "lrnet74": LRNetConfig("bottleneck", (3, 3, 3, 12, 3)),
    "lrnet80": LRNetConfig("bottleneck", (2, 2, 2, 18, 2)),
    "lrnet101": LRNetConfig("bottleneck", (4, 4, 4, 17, 4)),
    **{f"{name}d": replace(config, deep=True) for name, config in _PAPER.items()},
}
"""The paper's four models, its code's other sizes, and the deep-stem form of the four.

The number counts weighted layers on the main path (of the plain stem).
"""


def _conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


def _stem(inputs: int, deep: bool) -> nn.Sequential:
    layers = []
    for width, stride in _DEEP_STEM if deep else _STEM:
        layers += [*_conv_bn(inputs, width, 3, stride), nn.ReLU(inplace=True)]
        inputs = width
    return nn.Sequential(*layers)


def _shortcut(inputs: int, outputs: int, stride: int, pooled: bool) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    if stride == 1 or not pooled:
        return nn.Sequential(*_conv_bn(inputs, outputs, 1, stride))
    # Rounded up, as the strided convolution beside it does.
    pool = nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False)
    return nn.Sequential(pool, *_conv_bn(inputs, outputs, 1))


class _Residual(nn.Module):
    """``relu(shortcut(x) + drop_path(residual(x)))``; the last BatchNorm's gamma starts at zero."""

    def __init__(self, residual: nn.Sequential, shortcut: nn.Module, drop_path: float) -> None:
        super().__init__()
        self.residual = residual
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()
        self.shortcut = shortcut
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.shortcut(x) + self.drop_path(self.residual(x)))
        return y

    def zero_init_last(self) -> None:
        last = self.residual[-1]
        assert isinstance(last, nn.BatchNorm2d)
        nn.init.zeros_(last.weight)


def _basic(inputs: int, width: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        *_conv_bn(inputs, width, 3, stride), nn.ReLU(inplace=True), *_conv_bn(width, width, 3)
    )


def _bottleneck(inputs: int, width: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        *_conv_bn(inputs, width, 1),
        nn.ReLU(inplace=True),
        *_conv_bn(width, width, 3, stride),
        nn.ReLU(inplace=True),
        *_conv_bn(width, width * _EXPANSION["bottleneck"], 1),
    )


_BLOCKS: dict[str, Callable[[int, int, int], nn.Sequential]] = {
    "basic": _basic,
    "bottleneck": _bottleneck,
}
_EXPANSION = {"basic": 1, "bottleneck": 4}


class LRNet(nn.Module):
    """An LRNet: (B, 3, S, S) normalised pixels to (B, num_classes) logits.

    Args:
        config: Block type and depths.
        num_classes: Size of the linear head; 0 for none.
        in_chans: Input channels.
        drop_path_rate: Stochastic depth of the last block; block i of n gets rate * i / (n - 1).
        zero_init_last: Start every block as its shortcut: the gamma of its last BatchNorm is zero,
            as in the paper. timm's ResNets have an option of the same name.
    """

    def __init__(
        self,
        config: LRNetConfig,
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_path_rate: float = 0.0,
        zero_init_last: bool = True,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.stem = _stem(in_chans, config.deep)
        make, expansion = _BLOCKS[config.block], _EXPANSION[config.block]
        total = sum(config.depths)
        rates = [drop_path_rate * index / max(total - 1, 1) for index in range(total)]
        inputs, stages = _STEM[-1][0], []
        for depth, width, first in zip(config.depths, _WIDTHS, _STRIDES, strict=True):
            outputs, blocks = width * expansion, []
            for stride in (first, *[1] * (depth - 1)):
                residual = make(inputs, width, stride)
                shortcut = _shortcut(inputs, outputs, stride, config.deep)
                blocks.append(_Residual(residual, shortcut, rates.pop(0)))
                inputs = outputs
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.num_features = self.head_hidden_size = inputs
        self.feature_info = [{"num_chs": inputs, "reduction": 32, "module": "stages.4"}]
        self.head: nn.Module = self._make_head(num_classes)
        self._init_weights(zero_init_last)

    def _make_head(self, num_classes: int) -> nn.Module:
        return nn.Linear(self.num_features, num_classes) if num_classes > 0 else nn.Identity()

    def _init_weights(self, zero_init_last: bool) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        for module in self.modules():
            if zero_init_last and isinstance(module, _Residual):
                module.zero_init_last()

    def get_classifier(self) -> nn.Module:
        """Return the head (timm's interface)."""
        return self.head

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the head (timm's interface)."""
        self.num_classes = num_classes
        self.head = self._make_head(num_classes)

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the last feature maps, (B, num_features, S/32, S/32)."""
        features: Tensor = self.stages(self.stem(x))
        return features

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Return logits (B, num_classes) of feature maps, or their mean over space."""
        pooled = x.mean((2, 3))
        return pooled if pre_logits else self.head(pooled)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, num_classes)."""
        return self.forward_head(self.forward_features(x))


register_family(
    LRNet, CONFIGS, input_size=(3, 128, 128), pool_size=(4, 4), interpolation="bilinear"
)
