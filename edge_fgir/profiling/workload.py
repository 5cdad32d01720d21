"""What a setting makes a network do, in the units that its latency is predicted from."""

from __future__ import annotations

from dataclasses import dataclass

from edge_fgir.models import Setting, as_wrapper, count_params, summarize
from edge_fgir.models.reduction import ReductionStage, TokenSchedule
from edge_fgir.runs import TrainedModel


@dataclass(frozen=True)
class Work:
    """One inference.

    Attributes:
        pixels: Of the input.
        attention: Tokens that each block's attention sees; none in a CNN.
        mlp: Tokens that each block's MLP sees.
        reduced: Tokens that come into each stage that drops some.
    """

    pixels: int
    attention: tuple[int, ...] = ()
    mlp: tuple[int, ...] = ()
    reduced: tuple[int, ...] = ()


class Workload:
    """From the settings of a model to its work, by arithmetic alone.

    Args:
        trained: The model.

    Attributes:
        dim: Channels of a token; 0 for a CNN.
        params: Of the model.
    """

    def __init__(self, trained: TrainedModel) -> None:
        self._trained = trained
        model = trained.build(meta=True)
        self._network = as_wrapper(model)
        backbone = self._network.backbone
        self.params = count_params(model)
        self._known: dict[int, Work] = {}
        side = trained.preprocess.size
        summary = summarize(model, trained.name, side, trained.num_classes)
        # CNNs of timm have blocks too, which read no tokens.
        self.dim: int = getattr(backbone, "embed_dim", 0) if summary.blocks else 0
        own = Work(
            pixels=side**2,
            attention=tuple(block.attention_tokens for block in summary.blocks),
            mlp=tuple(block.mlp_tokens for block in summary.blocks),
        )
        self._macs_a_pixel = (1e9 * summary.gmacs - block_macs(own, self.dim)) / own.pixels

    def macs(self, work: Work) -> float:
        """Return multiply-accumulates: of the blocks by tokens, of all else by pixels."""
        return self._macs_a_pixel * work.pixels + block_macs(work, self.dim)

    def of(self, setting: Setting) -> Work:
        """Return what a setting makes the network do.

        Raises:
            InputError: The model does not take it.
        """
        schedule = self._schedule(setting)
        if schedule is None:
            return self._unreduced(setting.image_size)
        return Work(
            pixels=setting.image_size**2,
            attention=tuple(block.attention for block in schedule.blocks),
            mlp=tuple(block.mlp for block in schedule.blocks),
            reduced=tuple(each.tokens for each in schedule.stages if each.kept < each.tokens),
        )

    @property
    def prefix(self) -> int:
        """Tokens in front of the patches."""
        return self._network.prefix

    def stage(self, setting: Setting, number: int) -> ReductionStage | None:
        """Return one of a setting's reductions; None where the model has none."""
        schedule = self._schedule(setting)
        return None if schedule is None else schedule.stages[number]

    def rates_of(self, setting: Setting) -> tuple[float, ...]:
        """Return the keep rate of each stage."""
        trained = self._trained.at(setting._replace(image_size=self._trained.preprocess.size))
        reduction = trained.network.reduction
        return reduction.rates if reduction is not None else ()

    def _schedule(self, setting: Setting) -> TokenSchedule | None:
        reduction = self._trained.at(setting).network.reduction
        if reduction is None:
            return None
        return self._network.token_schedule(setting.image_size, reduction)

    def _unreduced(self, side: int) -> Work:
        if side not in self._known:
            model = self._trained.at(Setting(side)).build(meta=True)
            blocks = summarize(model, self._trained.name, side, self._trained.num_classes).blocks
            self._known[side] = Work(
                pixels=side**2,
                attention=tuple(block.attention_tokens for block in blocks),
                mlp=tuple(block.mlp_tokens for block in blocks),
            )
        return self._known[side]


def block_macs(work: Work, dim: int) -> float:
    """Return the multiply-accumulates of the blocks: 4aD^2 + 2a^2D and 8mD^2 each."""
    attention = sum(4 * a * dim**2 + 2 * a**2 * dim for a in work.attention)
    return attention + sum(8 * m * dim**2 for m in work.mlp)
