"""Settings of token reduction in a vision transformer."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from edge_fgir._errors import InputError
from edge_fgir._refusal import refused_option
from edge_fgir.models.reduction import methods  # noqa: F401  registers them
from edge_fgir.models.reduction.method import METHODS


def _known(name: str) -> str:
    if name not in METHODS:
        *names, last = (repr(method) for method in METHODS)
        known = f"{', '.join(names)} or {last}"
        raise PydanticCustomError("method", "Input should be {known}", {"known": known})
    return name


ReductionName = Annotated[str, AfterValidator(_known)]
"""Name of a registered method of token reduction."""

CLAHeadName = Literal["depthwise", "linear"]

LEAST_RATE = 0.1
"""The smallest keep rate of the paper's grid."""

KeepRate = float | tuple[float, ...]
"""Of every stage, or one a stage."""


class _RuleError(ValueError):
    """A broken rule between settings."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"{found}; expected {expected}")
        self.found, self.expected = found, expected


class Reduction(BaseModel):
    """Token reduction and CLCA (arXiv 2501.00243; docs/science/clca.md)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Annotated[ReductionName, Field(description="what becomes of the other tokens")] = "evit"
    keep_rate: Annotated[
        KeepRate,
        Field(
            description="share of the tokens a stage keeps, above 0, at most 1; a list: one a stage"
        ),
    ] = 1.0
    blocks: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...],
        Field(min_length=1, description="blocks that reduce, counted from 0"),
    ] = (3, 6, 9)
    cla: Annotated[
        bool, Field(description="classify the class tokens of all stages together (CLA)")
    ] = False
    cla_head: Annotated[
        CLAHeadName,
        Field(
            description="depthwise: CLA as published; linear: the authors' older head, one weight "
            "a stage for all channels (their ifa_dws_conv_groups 0)"
        ),
    ] = "depthwise"
    clr_tokens: Annotated[
        int,
        Field(ge=0, le=16, description="learnable tokens of the cross-layer cache (CLC); 0: none"),
    ] = 0
    clc_include_gap: Annotated[
        bool, Field(description="CLC: cache the mean of the local tokens, too")
    ] = True
    clc_recover_at_last: Annotated[
        bool,
        Field(description="CLC: recover in front of the last block, too, not at the stages alone"),
    ] = True
    reference_counts: Annotated[
        bool,
        Field(description="allow a stage to keep no token at all, as the authors' code does"),
    ] = False
    reference_decisions: Annotated[
        bool,
        Field(
            description="dynamicvit with CLC: outside training, recovered tokens do not count in "
            "what the predictor averages, as in the authors' code"
        ),
    ] = False

    @model_validator(mode="after")
    def _consistent(self) -> Reduction:
        if list(self.blocks) != sorted(set(self.blocks)):
            raise _RuleError(f"blocks {list(self.blocks)}", "different blocks in ascending order")
        if isinstance(self.keep_rate, tuple) and len(self.keep_rate) != len(self.blocks):
            raise _RuleError(
                f"{len(self.keep_rate)} keep rates for {len(self.blocks)} blocks that reduce",
                f"one number, or {len(self.blocks)}",
            )
        for rate in self.rates:
            if not 0 < rate <= 1:  # not a number fails, too
                near = 1 if rate > 1 else LEAST_RATE
                raise _RuleError(
                    f"keep_rate {rate:g}", f"above 0 and at most 1; the nearest is {near}"
                )
        if self.reference_decisions and self.method != "dynamicvit":
            raise _RuleError(f"reference_decisions for {self.method}", "dynamicvit, or to leave it")
        method, rate = METHODS[self.method], min(self.rates)
        if rate < method.least_rate and not (method.drops and self.reference_counts):
            least = f"at least {method.least_rate:g}; the nearest is {method.least_rate:g}"
            raise _RuleError(
                f"keep_rate {rate:g} for {method.name}, a share of a stage's tokens",
                least if method.drops else "a method, such as evit",
            )
        return self

    @classmethod
    def checked(cls, **values: Any) -> Reduction:
        """Return settings from plain values.

        Raises:
            InputError: They break a rule, which is named.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            rule = error.errors()[0].get("ctx", {}).get("error")
            if isinstance(rule, _RuleError):
                raise InputError(f"token reduction: {rule.found}", rule.expected) from error
            raise refused_option(error, "token reduction") from error

    def at(self, keep_rate: KeepRate | None = None, method: str | None = None) -> Reduction:
        """Return the settings of the same weights at another keep rate, or by another method.

        Raises:
            InputError: The weights serve one keep rate or one method alone, or the rate is not
                legal.
        """
        keep_rate = self.keep_rate if keep_rate is None else keep_rate
        method = self.method if method is None else method
        if METHODS[self.method].fixed and keep_rate != self.keep_rate:
            raise InputError(
                f"keep_rate {keep_rate} for weights of {self.method} at {self.keep_rate}",
                f"{self.keep_rate}: the weights of {self.method} fit one keep rate",
            )
        if method != self.method and not {self.method, method} <= self.interchangeable:
            raise InputError(
                f"method {method} for weights of {self.method}",
                f"{', '.join(sorted({self.method, *self.interchangeable}))}: the others have "
                "weights of their own",
            )
        return self.checked(**{**self.model_dump(), "keep_rate": keep_rate, "method": method})

    @property
    def interchangeable(self) -> frozenset[str]:
        """The methods that these weights serve beside their own: those without weights."""
        without = frozenset(name for name, method in METHODS.items() if method.weightless)
        return without if self.method in without else frozenset()

    def check_size(self, image_size: int, trained: int) -> None:
        """Raise InputError if weights trained at one input side do not serve another, pixels."""
        if METHODS[self.method].fixed and image_size != trained:
            raise InputError(
                f"{image_size} px for weights of {self.method} at {trained} px",
                f"{trained}: the weights of {self.method} fit one input size",
            )

    @property
    def rates(self) -> tuple[float, ...]:
        """The keep rate of each stage."""
        if isinstance(self.keep_rate, tuple):
            return self.keep_rate
        return (self.keep_rate,) * len(self.blocks)

    @property
    def reduces(self) -> bool:
        """Whether any stage may drop a token."""
        return any(rate < 1 for rate in self.rates)

    @property
    def adaptive(self) -> bool:
        """Whether a picture decides how many tokens it keeps, so that its cost is its own."""
        return METHODS[self.method].adaptive and self.reduces

    def share_left(self, stage: int) -> float:
        """Return the share of the patches that is left after ``stage`` (counted from 0)."""
        if isinstance(self.keep_rate, tuple):
            return math.prod(self.keep_rate[: stage + 1])
        # As the authors compute it: a power rounds differently from a product.
        return float(self.keep_rate ** (stage + 1))
