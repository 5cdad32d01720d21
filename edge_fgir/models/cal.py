"""CAL, Counterfactual Attention Learning: the teacher that knows about parts (arXiv 2108.08728).

Attention maps pool the backbone's features part by part; a counterfactual branch with random
attention measures what the learned attention adds. The same maps tell where the object is, which is
what TGDA crops and drops (docs/science/tgda.md#cal).
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_fgir._errors import InputError
from edge_fgir.models.backbone import usual_side
from edge_fgir.models.features import spatial_maps
from edge_fgir.models.full_precision import full_precision
from edge_fgir.models.regions import crop_and_resize, crop_boxes, hot_region
from edge_fgir.models.weights import BACKBONE, load_state, load_wrapped
from edge_fgir.models.wrapper import Wrapper

FULL_CROPS = ((0.3, 0.1), (0.2, 0.1), (0.1, 0.05))
"""Threshold (share of the map's peak) and padding (share of the side) of full inference's crops."""

_SCALE = 100.0
_EPS = 1e-6
_PROBE_SIZE = 64


class CALOutput(NamedTuple):
    """One forward of the teacher.

    Attributes:
        logits: (B, K).
        attention: (B, M, h, w), non-negative.
        embedding: (B, M * C), unit length.
        effect: (B, K), logits minus the counterfactual branch's; None unless asked for.
    """

    logits: Tensor
    attention: Tensor
    embedding: Tensor
    effect: Tensor | None


def bilinear_attention_pool(features: Tensor, attention: Tensor) -> Tensor:
    """Pool (B, C, h, w) features by (B, M, h, w) maps into (B, M * C) unit vectors, m-major.

    Mean over positions, signed square root, L2 norm ; in float32.
    """
    height, width = features.shape[2:]
    pooled = attention.float().flatten(2) @ features.float().flatten(2).transpose(1, 2)
    pooled = pooled.flatten(1) / (height * width)
    return F.normalize(pooled.sign() * (pooled.abs() + _EPS).sqrt(), dim=1)


class AttentionPool(nn.Module):
    """:func:`bilinear_attention_pool` as a layer, so that an exported graph knows its nodes."""

    def forward(self, features: Tensor, attention: Tensor) -> Tensor:
        """Pool (B, C, h, w) features by (B, M, h, w) maps into (B, M * C) unit vectors."""
        return bilinear_attention_pool(features, attention)


class CAL(Wrapper, nn.Module):
    """A backbone with attention pooling instead of average pooling.

    Args:
        backbone: A timm model whose ``forward_features`` returns maps or a square of tokens.
        num_classes: Number of classes K.
        attention_maps: Number of maps M.
        image_size: Input side of ``backbone``, pixels; needed only where it was built for one size
            that is not its default.
        unmirrored_crops: See :func:`full_inference`.

    Raises:
        InputError: The backbone gives neither maps nor a square grid of tokens, or does not take
            that side.
    """

    # The square root's slope at zero, and its summand, are beyond INT8 and float16.
    full_precision: ClassVar[tuple[str, ...]] = ("pool",)
    skips_layers: ClassVar[bool] = True  # some backbones have layers behind their features

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int,
        attention_maps: int = 32,
        image_size: int | None = None,
        *,
        unmirrored_crops: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.unmirrored_crops = unmirrored_crops
        channels = _feature_channels(backbone, image_size)
        self.num_classes = num_classes
        self.attention = nn.Sequential(
            nn.Conv2d(channels, attention_maps, 1, bias=False),
            nn.BatchNorm2d(attention_maps, eps=1e-3),
            nn.ReLU(inplace=True),
        )
        self.pool = AttentionPool()
        self.head = nn.Linear(attention_maps * channels, num_classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, K) of (B, 3, S, S) pixels: one forward, no crops."""
        return self.look(x).logits

    def attend(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, K) and attention maps (B, M, h, w)."""
        output = self.look(images)
        return output.logits, output.attention

    def look(self, x: Tensor, *, counterfactual: bool = False) -> CALOutput:
        """Classify and localise.

        Args:
            x: (B, 3, S, S) normalised pixels.
            counterfactual: Also compute ``effect``. Its attention is U(0, 2) in training mode and
                one in evaluation mode.
        """
        features = spatial_maps(self.backbone, self.backbone.forward_features(x))
        with full_precision(x.device):
            features = features.float()
            attention = self.attention(features)
            embedding: Tensor = self.pool(features, attention)
            logits = self.head(_SCALE * embedding)
            effect = None
            if counterfactual:
                random = torch.rand_like(attention) * 2
                fake = random if self.training else torch.ones_like(attention)
                pooled = self.pool(features, fake)
                effect = logits - self.head(_SCALE * pooled)
        return CALOutput(logits, attention, embedding, effect)


def make_cal(
    backbone: nn.Module,
    num_classes: int,
    attention_maps: int,
    image_size: int | None,
    state: dict[str, Tensor] | None,
    source: str,
) -> CAL:
    """Build CAL around a backbone, and fill it.

    Args:
        backbone: As for :class:`CAL`.
        num_classes: Likewise.
        attention_maps: Likewise.
        image_size: Likewise.
        state: Weights of the backbone alone, or of a CAL network; None: they stay as they are.
        source: Where they come from, for messages.

    Raises:
        InputError: The tensors do not fit, or the backbone is not one for CAL.
    """
    if state is None or not any(key.startswith(BACKBONE) for key in state):
        if state is not None:
            load_state(backbone, state, source)
        return CAL(backbone, num_classes, attention_maps, image_size)
    model = CAL(backbone, num_classes, attention_maps, image_size)
    expected = f"those of CAL with {attention_maps} maps and {num_classes} classes"
    load_wrapped(model, state, source, what="CAL network", expected=expected)
    return model


def full_inference(model: CAL, images: Tensor) -> Tensor:
    """Return logits (B, K) of CAL's multi-crop inference: 8 forwards (docs/science/tgda.md).

    The image, its mirror, and three crops of each around its mean attention map; all are averaged.
    With ``unmirrored_crops`` the boxes that the mirror's map gives are cut from the image itself,
    as the code of TGDA's authors does.

    Args:
        model: In evaluation mode.
        images: (B, 3, S, S) normalised pixels.
    """
    size = (images.shape[2], images.shape[3])
    logits = []
    for view in (images, images.flip(3)):
        output = model.look(view)
        logits.append(output.logits)
        cut_from = images if model.unmirrored_crops else view
        maps = output.attention.mean(dim=1)
        for share, padding in FULL_CROPS:
            hot = hot_region(maps, maps.new_full((len(maps),), share), size)
            logits.append(model(crop_and_resize(cut_from, crop_boxes(hot, padding))))
    return torch.stack(logits).mean(dim=0)


def _feature_channels(backbone: nn.Module, image_size: int | None) -> int:
    """Return C of the feature maps; timm's ``num_features`` may be another layer's."""
    usual = usual_side(backbone) or _PROBE_SIZE
    fixed = (getattr(backbone, "pretrained_cfg", None) or {}).get("fixed_input_size")
    # The usual one is slow, and the quick one too small for some.
    sides = (image_size or usual,) if image_size or fixed else (_PROBE_SIZE, usual)
    for side in sides:
        try:
            return _channels_at(backbone, side)
        except (AssertionError, RuntimeError, ValueError) as error:
            refused = error
    name = type(backbone).__name__
    raise InputError(
        f"{name} does not take {sides[-1]} px: {str(refused) or type(refused).__name__}",
        f"another side, such as {usual}",
    ) from refused


def _channels_at(backbone: nn.Module, size: int) -> int:
    training = backbone.training
    backbone.eval()
    with torch.no_grad():
        probe = torch.zeros(1, 3, size, size, device=next(backbone.parameters()).device)
        maps = spatial_maps(backbone, backbone.forward_features(probe))  # type: ignore[operator]
    backbone.train(training)
    return int(maps.shape[1])
