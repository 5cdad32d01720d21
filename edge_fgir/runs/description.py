"""What a run folder says of its model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

from edge_fgir._errors import InputError
from edge_fgir._files import read_file
from edge_fgir._refusal import validated
from edge_fgir.models import Network, Setting, as_wrapper
from edge_fgir.models.ila import Base, check_base, check_there
from edge_fgir.models.reduction import KeepRate, ReductionName
from edge_fgir.runtime import DataInfo, Normalization, Preprocess

_MOST_BYTES = 16 << 20
_FLAT = ("architecture", "options", "attention_maps", "reduction", "glsim", "adapters")


class ImportedFrom(BaseModel):
    """The checkpoint that somebody else's training left."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Annotated[str, Field(description="the paper whose authors published it")]
    file: Annotated[str, Field(description="its name")]
    sha256: Annotated[str, Field(description="of its bytes")]


class TrainedModel(BaseModel):
    """``model.json``: everything needed to rebuild the network and feed it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(description="the recipe's name")]
    network: Annotated[Network, Field(description="as it is used: without what training needs")]
    base: Annotated[
        Base | None, Field(description="the weights that adapters stand on, which no run stores")
    ] = None
    num_classes: Annotated[int, Field(ge=2, le=1_000_000)]
    normalization: Normalization
    preprocess: Preprocess
    elastic_sizes: Annotated[
        tuple[int, ...], Field(description="input sides it was trained for at once; none: one")
    ] = ()
    elastic_keep_rates: Annotated[
        tuple[float, ...], Field(description="keep rates it was trained for at once; none: one")
    ] = ()
    frozen_norms: Annotated[
        bool,
        Field(
            description="BatchNorm statistics are those of the weights that training started from: "
            "measured on these pictures they would be others"
        ),
    ] = False
    train_counts: Annotated[
        tuple[Annotated[int, Field(ge=0, lt=1 << 53)], ...],
        Field(description="training pictures of each class; none: not known"),
    ] = ()
    data: DataInfo
    imported: Annotated[
        ImportedFrom | None, Field(description="null: trained here, by the recipe beside it")
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _nested(cls, values: Any) -> Any:
        """Read a ``model.json`` of an earlier form, which has the network's keys beside its own."""
        if not isinstance(values, dict) or "architecture" not in values:
            return values
        rest = {key: value for key, value in values.items() if key not in _FLAT}
        network = {key: values[key] for key in _FLAT[1:] if key in values}
        return {**rest, "network": {"name": values["architecture"], **network}}

    @property
    def elastic(self) -> bool:
        """Whether it was trained for several settings at once."""
        return bool(self.elastic_sizes or self.elastic_keep_rates)

    @property
    def stores_base(self) -> bool:
        """Whether the run stores the weights that its adapters stand on: it came with them."""
        return self.network.adapters is not None and self.imported is not None

    @classmethod
    def read(cls, path: Path) -> TrainedModel:
        """Read a ``model.json``.

        Raises:
            InputError: It is not there, or not of this version.
        """
        if not path.exists():
            raise InputError(
                f"{path.parent} is not a run folder (it has no {path.name})",
                "the --out folder of a training",
                "make one with: edge-fgir train",
            )
        return validated(cls, read_file(path, most=_MOST_BYTES), path, "a run of this version")

    def setting(
        self,
        image_size: int | None = None,
        keep_rate: KeepRate | None = None,
        method: ReductionName | None = None,
    ) -> Setting | None:
        """Return a setting in which what is None is as trained; None if all is."""
        if image_size is None and keep_rate is None and method is None:
            return None
        return Setting(image_size or self.preprocess.size, keep_rate, method)

    def at(self, setting: Setting | None) -> TrainedModel:
        """Return the description of the same weights at another setting; None: as trained.

        Raises:
            InputError: The model's weights do not serve it.
        """
        if setting is None:
            return self
        image_size, keep_rate, method = setting
        changes: dict[str, Any] = {}
        reduction = self.network.reduction
        if image_size != self.preprocess.size:
            if reduction is not None:
                reduction.check_size(image_size, self.preprocess.size)
            changes["preprocess"] = self.preprocess.model_copy(update={"size": image_size})
        if keep_rate is not None or method is not None:
            if reduction is None:
                raise InputError(
                    f"a keep rate for {self.name}, a model without token reduction",
                    "one trained with model.reduction in its recipe",
                )
            reduced = {"reduction": reduction.at(keep_rate, method)}
            changes["network"] = self.network.model_copy(update=reduced)
        return self.model_copy(update=changes)

    def build(self, *, weights: str = "random", meta: bool = False) -> nn.Module:
        """Build the network; ``meta`` allocates nothing.

        Raises:
            InputError: The weights that its adapters stand on are gone, or others.
        """
        if self.base is not None and not meta:
            check_there(self.base, self.name)
            weights = self.base.source
        model = self.network.build(
            self.num_classes, self.preprocess.size, weights=weights, meta=meta
        )
        if self.base is not None and not meta:
            check_base(as_wrapper(model).base, self.base, self.name)
        return model

    def check_side(self, side: int, found: str, expected: str) -> None:
        """Try whether the model takes pictures of ``side`` pixels; nothing is computed.

        Args:
            side: Of the pictures.
            found: What is wrong if it does not.
            expected: What it does take.

        Raises:
            InputError: It does not.
        """
        pixels = torch.zeros(1, 3, side, side, device="meta")
        try:
            with torch.no_grad():
                self.build(meta=True).eval()(pixels)
        except NotImplementedError:
            return  # an operation that cannot run without numbers says nothing about sizes
        except (AssertionError, RuntimeError, ValueError) as error:
            raise InputError(f"{found}: {error}", expected) from error
