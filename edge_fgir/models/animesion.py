"""The networks that Animesion compared on DAF:re (arXiv 2101.08674).

All are timm's but the shallow CNN, which is registered here. The transformers take 128 px pictures
as well, ``image_size`` of :meth:`~edge_fgir.models.Network.build`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from edge_fgir.models.registration import register_family

_KERNEL = 5


@dataclass(frozen=True)
class ShallowConfig:
    """Channels of the two convolutions, and width of the hidden linear layer."""

    channels: tuple[int, int]
    hidden: int


class ShallowCNN(nn.Module):
    """Two convolutions without padding, each with BatchNorm and pooling, and two linear layers.

    Args:
        config: Its widths.
        num_classes: Number of classes; 0 for none.
        in_chans: Channels of the picture.
        img_size: Side of the picture, pixels: the hidden layer reads every place of it.
        drop_rate: Dropout before the classifier.
    """

    def __init__(
        self,
        config: ShallowConfig,
        num_classes: int = 1000,
        in_chans: int = 3,
        img_size: int = 224,
        drop_rate: float = 0.2,
    ) -> None:
        super().__init__()
        first, second = config.channels
        self.num_classes = num_classes
        self.num_features = self.head_hidden_size = config.hidden
        self.stem = nn.Sequential(*_stage(in_chans, first), *_stage(first, second))
        side = _after_stage(_after_stage(img_size))
        self.hidden = nn.Linear(second * side * side, config.hidden)
        self.act = nn.ReLU()
        self.drop = nn.Dropout(drop_rate)
        self.reset_classifier(num_classes)

    def get_classifier(self) -> nn.Module:
        """Return the head (timm's interface)."""
        return self.head

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the head (timm's interface)."""
        self.num_classes = num_classes
        self.head: nn.Module = (
            nn.Linear(self.num_features, num_classes) if num_classes > 0 else nn.Identity()
        )

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the last feature maps."""
        features: Tensor = self.stem(x)
        return features

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Return logits (B, num_classes) of feature maps, or what the head reads."""
        hidden: Tensor = self.drop(self.act(self.hidden(x.flatten(1))))
        return hidden if pre_logits else self.head(hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, num_classes)."""
        return self.forward_head(self.forward_features(x))


def _stage(inputs: int, outputs: int) -> list[nn.Module]:
    norm = nn.BatchNorm2d(outputs)
    return [nn.Conv2d(inputs, outputs, _KERNEL), norm, nn.ReLU(), nn.MaxPool2d(2)]


def _after_stage(side: int) -> int:
    return (side - _KERNEL + 1) // 2


CONFIGS = {"animesion_shallow": ShallowConfig((16, 32), 512)}

register_family(
    ShallowCNN,
    CONFIGS,
    input_size=(3, 224, 224),
    fixed_input_size=True,
    interpolation="bilinear",
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)

MODELS = (
    *CONFIGS,
    "resnet18",
    "resnet152",
    "vit_base_patch16_224",
    "vit_base_patch32_224",
    "vit_large_patch16_224",
    "vit_large_patch32_224",
)
"""What the paper compares, by timm name."""
