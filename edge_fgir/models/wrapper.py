"""What the rest of the package asks of a network, whatever stands around its backbone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from edge_fgir._errors import InputError
from edge_fgir.models.cam import class_activation_maps

if TYPE_CHECKING:
    from edge_fgir.models.glsim import CropForm
    from edge_fgir.models.ila import Base
    from edge_fgir.models.reduction import KeepRate, Reduction, TokenSchedule


class Wrapper:
    """A network around a timm backbone, as a second base beside ``nn.Module``.

    The answers here are those of a plain network; each wrapper overrides what it does otherwise.

    Attributes:
        backbone: The timm network.
        base: The weights that it stands on and does not store; None: it stores all.
        prefix: Tokens in front of the patches.
    """

    full_precision: ClassVar[tuple[str, ...]] = ()
    """Parts that stay in float32 in every exported graph."""
    unquantized: ClassVar[tuple[str, ...]] = ()
    """Parts that are never quantized."""
    extra_outputs: ClassVar[tuple[str, ...]] = ()
    """Names of what :meth:`outputs` gives behind the logits."""
    unquantized_outputs: ClassVar[tuple[str, ...]] = ()
    """Those of them that nothing may have been quantized for."""
    skips_layers: ClassVar[bool] = False
    """Whether a forward may leave out layers of the backbone."""

    backbone: Any
    base: Base | None = None
    prefix: int = 0

    def no_weight_decay(self) -> set[str]:
        """Name parameters without weight decay beyond timm's rule."""
        names: Any = getattr(self.backbone, "no_weight_decay", set)
        return {f"backbone.{name}" for name in names()}

    def outputs(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return logits (B, K) of normalised pixels (B, 3, S, S), then the extra outputs."""
        network: Any = self
        return (network(images),)

    def attend(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, K) and attention maps (B, M, h, w); M is 1 without attention."""
        network: Any = self
        logits, maps = class_activation_maps(network, images)
        return logits, maps[:, None]

    def residual_stream(self, images: Tensor) -> Iterator[Tensor]:
        """Yield the tokens (B, N, D) behind every block, where adapters change how they grow."""
        return iter(())

    def keeping(self, keep_rate: KeepRate | None) -> AbstractContextManager[None]:
        """Run at another keep rate while the block runs; None: at its own.

        Raises:
            InputError: The network has no token reduction.
        """
        if keep_rate is not None:
            raise InputError(
                f"a keep rate for {type(self.backbone).__name__}, a model without token reduction",
                "one trained with model.reduction in its recipe",
            )
        return nullcontext()

    def token_schedule(self, image_size: int, reduction: Reduction) -> TokenSchedule | None:
        """Return the tokens of every block at an input side, pixels; None: nothing is dropped."""
        return None

    @property
    def adaptive(self) -> bool:
        """Whether a picture decides how many tokens it keeps, so that its cost is its own."""
        return False

    def take_penalty(self) -> Tensor | None:
        """Return what is added to the loss since the last call, if anything."""
        return None

    def learned_names(self) -> set[str] | None:
        """Return the names of the tensors that a run stores; None: all."""
        return None

    def fold(self, *, class_token_only: bool, crop_form: CropForm) -> None:
        """Take the form for export, exact in evaluation, before the backbone's norms are folded.

        Args:
            class_token_only: In a last block behind which only the class token is read, compute
                only the class token (ours).
            crop_form: How a crop is computed that the target's runtime takes.
        """


class Plain(Wrapper):
    """A backbone with nothing around it. This is no module, so that tensors keep their names."""

    def __init__(self, backbone: nn.Module) -> None:
        self.backbone = backbone

    def outputs(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return logits (B, K) of normalised pixels (B, 3, S, S)."""
        return (self.backbone(images),)

    def attend(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, K) and class activation maps (B, 1, h, w)."""
        logits, maps = class_activation_maps(self.backbone, images)
        return logits, maps[:, None]


def as_wrapper(network: nn.Module) -> Wrapper:
    """Return what a network answers to the questions of :class:`Wrapper`."""
    return network if isinstance(network, Wrapper) else Plain(network)
