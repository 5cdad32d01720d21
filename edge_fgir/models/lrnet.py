"""LRNets: ResNets for low-resolution input (arXiv 2507.12157; spec TGDA section 3).

A ResNet reaches stride 4 before its first block. An LRNet keeps the detail: one strided 3x3 stem
convolution, a stage at stride 2, and four strided stages, without pooling before the global mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from timm.layers import DropPath
from timm.models import build_model_with_cfg, register_model
from torch import Tensor, nn

_STEM_WIDTH = 32
_WIDTHS = (64, 64, 128, 256, 512)
_STRIDES = (1, 2, 2, 2, 2)


@dataclass(frozen=True)
class LRNetConfig:
    """Block type and the number of blocks in each of the five stages."""

    block: Literal["basic", "bottleneck"]
    depths: tuple[int, int, int, int, int]


CONFIGS: dict[str, LRNetConfig] = {
    "lrnet14": LRNetConfig("basic", (1, 2, 1, 1, 1)),
    "lrnet18": LRNetConfig("basic", (2, 2, 2, 1, 1)),
    "lrnet26": LRNetConfig("bottleneck", (2, 2, 2, 1, 1)),
    "lrnet50": LRNetConfig("bottleneck", (3, 3, 3, 4, 3)),
}
"""The paper's four models; the number counts weighted layers on the main path."""


def _conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


class _Residual(nn.Module):
    """``relu(shortcut(x) + drop_path(residual(x)))``; the last BatchNorm's gamma starts at zero."""

    def __init__(
        self, inputs: int, outputs: int, stride: int, drop_path: float, residual: nn.Sequential
    ) -> None:
        super().__init__()
        self.residual = residual
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(*_conv_bn(inputs, outputs, 1, stride))
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.shortcut(x) + self.drop_path(self.residual(x)))
        return y

    def zero_init_last(self) -> None:
        last = self.residual[-1]
        assert isinstance(last, nn.BatchNorm2d)
        nn.init.zeros_(last.weight)


def _basic(inputs: int, width: int, stride: int, drop_path: float) -> _Residual:
    layers = [
        *_conv_bn(inputs, width, 3, stride),
        nn.ReLU(inplace=True),
        *_conv_bn(width, width, 3),
    ]
    return _Residual(inputs, width, stride, drop_path, nn.Sequential(*layers))


def _bottleneck(inputs: int, width: int, stride: int, drop_path: float) -> _Residual:
    outputs = width * _EXPANSION["bottleneck"]
    layers = [
        *_conv_bn(inputs, width, 1),
        nn.ReLU(inplace=True),
        *_conv_bn(width, width, 3, stride),
        nn.ReLU(inplace=True),
        *_conv_bn(width, outputs, 1),
    ]
    return _Residual(inputs, outputs, stride, drop_path, nn.Sequential(*layers))


_BLOCKS: dict[str, Callable[[int, int, int, float], _Residual]] = {
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
    """

    def __init__(
        self,
        config: LRNetConfig,
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.stem = nn.Sequential(*_conv_bn(in_chans, _STEM_WIDTH, 3, 2), nn.ReLU(inplace=True))
        make, expansion = _BLOCKS[config.block], _EXPANSION[config.block]
        total = sum(config.depths)
        rates = [drop_path_rate * index / max(total - 1, 1) for index in range(total)]
        inputs, stages = _STEM_WIDTH, []
        for depth, width, stride in zip(config.depths, _WIDTHS, _STRIDES, strict=True):
            blocks = []
            for index in range(depth):
                blocks.append(make(inputs, width, stride if index == 0 else 1, rates.pop(0)))
                inputs = width * expansion
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.num_features = self.head_hidden_size = inputs
        self.feature_info = [{"num_chs": inputs, "reduction": 32, "module": "stages.4"}]
        self.head: nn.Module = self._make_head(num_classes)
        self._init_weights()

    def _make_head(self, num_classes: int) -> nn.Module:
        return nn.Linear(self.num_features, num_classes) if num_classes > 0 else nn.Identity()

    def _init_weights(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        for module in self.modules():
            if isinstance(module, _Residual):
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


def _cfg() -> dict[str, Any]:
    return {
        "url": "",
        "num_classes": 1000,
        "input_size": (3, 128, 128),
        "pool_size": (4, 4),
        "crop_pct": 1.0,
        "interpolation": "bilinear",
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "first_conv": "stem.0",
        "classifier": "head",
    }


default_cfgs = {name: _cfg() for name in CONFIGS}


def _create(name: str, pretrained: bool, **kwargs: Any) -> LRNet:
    model: LRNet = build_model_with_cfg(LRNet, name, pretrained, config=CONFIGS[name], **kwargs)
    return model


@register_model  # type: ignore[untyped-decorator]
def lrnet14(pretrained: bool = False, **kwargs: Any) -> LRNet:
    """LRN14: 1-2-1-1-1 basic blocks, 5.14 M parameters and 0.570 GMACs at 128 px (200 classes)."""
    return _create("lrnet14", pretrained, **kwargs)


@register_model  # type: ignore[untyped-decorator]
def lrnet18(pretrained: bool = False, **kwargs: Any) -> LRNet:
    """LRN18: 2-2-2-1-1 basic blocks, 5.51 M parameters and 0.947 GMACs at 128 px (200 classes)."""
    return _create("lrnet18", pretrained, **kwargs)


@register_model  # type: ignore[untyped-decorator]
def lrnet26(pretrained: bool = False, **kwargs: Any) -> LRNet:
    """LRN26: 2-2-2-1-1 bottlenecks, 8.96 M parameters and 1.246 GMACs at 128 px (200 classes)."""
    return _create("lrnet26", pretrained, **kwargs)


@register_model  # type: ignore[untyped-decorator]
def lrnet50(pretrained: bool = False, **kwargs: Any) -> LRNet:
    """LRN50: 3-3-3-4-3 bottlenecks, 21.66 M parameters and 2.030 GMACs at 128 px (200 classes)."""
    return _create("lrnet50", pretrained, **kwargs)
