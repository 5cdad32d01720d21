"""One place where tokens become fewer, in numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Arrival:
    """What comes to a stage, from which a method counts what leaves it.

    Attributes:
        tokens: All that come in.
        prefix: Tokens in front of the patches, which are never dropped.
        suffix: Tokens at the end that the cross-layer cache has appended.
        rate: Keep rate of the stage.
        planned: Patches that the rates of this stage and of those before it leave.
        planned_before: Patches that the rates of the stages before it leave.
        least: Tokens behind the prefix that must stay.
        cached: Whether there is a cross-layer cache.
        last: Whether no stage follows.
    """

    tokens: int
    prefix: int
    suffix: int
    rate: float
    planned: int
    planned_before: int
    least: int
    cached: bool
    last: bool

    @property
    def reducible(self) -> int:
        """Tokens behind the prefix."""
        return self.tokens - self.prefix


@dataclass(frozen=True)
class ReductionStage:
    """One reduction.

    Attributes:
        block: Where, counted from 0.
        tokens: Tokens that come in, all of them.
        kept: Tokens that go on.
        suffix: Tokens at the end that the cross-layer cache has appended.
        share: Share of the patches that the rates so far leave.
    """

    block: int
    tokens: int
    kept: int
    suffix: int
    share: float = 1.0


@dataclass(frozen=True)
class TransformerShape:
    """What a transformer's cost depends on beside its tokens.

    Attributes:
        dim: D, channels of a token.
        heads: Attention heads.
        patch: Side of a patch, pixels.
        num_classes: K.
        prefix: Tokens in front of the patches.
    """

    dim: int
    heads: int
    patch: int
    num_classes: int
    prefix: int = 1
