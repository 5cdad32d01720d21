"""A trained model on disk: the part of a run folder that others open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from edge_fgir._errors import InputError
from edge_fgir._files import to_json, write_atomic
from edge_fgir._refusal import validated
from edge_fgir.models import Network
from edge_fgir.models.batch_norm import reestimate
from edge_fgir.models.ila import (
    Base,
    check_base,
    check_there,
    load_learned,
)
from edge_fgir.models.reduction import KeepRate, ReductionName
from edge_fgir.models.wrapper import as_wrapper
from edge_fgir.runtime import Pixels, Preprocess
from edge_fgir.runtime.manifest import DataInfo, Normalization

DESCRIPTION = "model.json"
LABELS = "labels.txt"
WEIGHTS = "weights.safetensors"
EMA = "ema.safetensors"

_FLAT = ("architecture", "options", "attention_maps", "reduction", "glsim", "adapters")


class TrainedModel(BaseModel):
    """``model.json``: everything needed to rebuild the network and feed it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(description="the recipe's name")]
    network: Annotated[Network, Field(description="as it is used: without what training needs")]
    base: Annotated[
        Base | None, Field(description="the weights that adapters stand on, which no run stores")
    ] = None
    num_classes: Annotated[int, Field(ge=2)]
    normalization: Normalization
    preprocess: Preprocess
    elastic_sizes: Annotated[
        tuple[int, ...], Field(description="input sides it was trained for at once; none: one")
    ] = ()
    elastic_keep_rates: Annotated[
        tuple[float, ...], Field(description="keep rates it was trained for at once; none: one")
    ] = ()
    train_counts: Annotated[
        tuple[int, ...], Field(description="training pictures of each class; none: not known")
    ] = ()
    data: DataInfo

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

    def save(self, run: Path, labels: tuple[str, ...]) -> None:
        """Write ``model.json`` and ``labels.txt``."""
        write_atomic(run / DESCRIPTION, to_json(self.model_dump(mode="json")))
        write_atomic(run / LABELS, "".join(f"{label}\n" for label in labels))

    @classmethod
    def read(cls, run: Path) -> TrainedModel:
        """Read ``model.json``.

        Raises:
            InputError: ``run`` is no run folder.
        """
        path = run / DESCRIPTION
        if not path.is_file():
            raise InputError(
                f"{run} is not a run folder (it has no {DESCRIPTION})",
                "the --out folder of a training",
                "make one with: edge-fgir train",
            )
        return validated(cls, path.read_bytes(), path, "a run of this version")

    def at(
        self,
        *,
        image_size: int | None = None,
        keep_rate: KeepRate | None = None,
        method: ReductionName | None = None,
    ) -> TrainedModel:
        """Return the description of the same weights at another size, keep rate or method.

        Raises:
            InputError: The model's weights do not serve it.
        """
        changes: dict[str, Any] = {}
        reduction = self.network.reduction
        if image_size is not None:
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


def read_labels(run: Path) -> tuple[str, ...]:
    """Return the class names of a run, in the order of the outputs."""
    TrainedModel.read(run)
    return tuple((run / LABELS).read_text(encoding="utf-8").splitlines())


def class_difference(known: tuple[str, ...], classes: tuple[str, ...]) -> str:
    """Say how the classes that a model knows differ from those of data."""
    if sorted(known) == sorted(classes):
        return "they are the same in another order"
    stranger = next((name for name in classes if name not in known), None)
    lacking = next((name for name in known if name not in classes), None)
    parts = [f"it knows {len(known)}, the data has {len(classes)}"]
    if stranger is not None:
        parts.append(f"{stranger!r} is new to it")
    if lacking is not None:
        parts.append(f"the data has no {lacking!r}")
    return ", ".join(parts)


def check_side(trained: TrainedModel, side: int, found: str, expected: str) -> None:
    """Try whether a model takes pictures of ``side`` pixels; nothing is computed.

    Args:
        trained: Describes the model.
        side: Of the pictures.
        found: What is wrong if it does not.
        expected: What it does take.

    Raises:
        InputError: It does not.
    """
    pixels = torch.zeros(1, 3, side, side, device="meta")
    try:
        with torch.no_grad():
            trained.build(meta=True).eval()(pixels)
    except NotImplementedError:
        return  # an operation that cannot run without numbers says nothing about sizes
    except (AssertionError, RuntimeError, ValueError) as error:
        raise InputError(f"{found}: {error}", expected) from error


def weights_file(run: Path) -> Path:
    """Return the weights that are evaluated and exported: averaged (EMA) ones if there are any.

    Raises:
        InputError: The training has not finished.
    """
    path = run / EMA if (run / EMA).exists() else run / WEIGHTS
    if not path.exists():
        raise InputError(
            f"{run} has no {WEIGHTS}", "a finished training", "run: edge-fgir train ... --resume"
        )
    return path


def load_at(
    run: Path,
    train_images: Callable[[Preprocess], Pixels],
    *,
    image_size: int | None = None,
    keep_rate: KeepRate | None = None,
    method: ReductionName | None = None,
) -> tuple[TrainedModel, nn.Module]:
    """Load a run's model for another size, keep rate or method (None: its own), to be evaluated.

    BatchNorm statistics are measured again where the setting, or an elastic run, needs it.

    Args:
        run: A finished run folder.
        train_images: Returns training pictures under a preprocessing, (N, S, S, 3).
        image_size: Side of the input, pixels.
        keep_rate: Share of the tokens that a stage keeps, or one a stage.
        method: Token reduction method.

    Raises:
        InputError: ``run`` cannot be loaded, or the model does not take the setting.
    """
    described = TrainedModel.read(run)
    trained = described.at(image_size=image_size, keep_rate=keep_rate, method=method)
    if trained == described and not described.elastic:
        return load_trained(run)
    if described.network.attention_maps:
        _, model = load_trained(run)
        size = trained.preprocess.size
        check_side(described, size, f"{run} at {size} px", f"{described.preprocess.size} px")
    elif trained.network.adapters is not None:
        model = _filled(trained, weights_file(run))
    else:
        # Loading by weights file lets timm resize position embeddings.
        model = trained.build(weights=str(weights_file(run))).eval()
    reestimate(model, train_images(trained.preprocess), trained.normalization)
    return trained, model


def load_trained(run: Path) -> tuple[TrainedModel, nn.Module]:
    """Load a run's model in evaluation mode; averaged (EMA) weights are used where there are any.

    Raises:
        InputError: ``run`` is no run folder or its weights are missing or damaged.
    """
    description = TrainedModel.read(run)
    return description, _filled(description, weights_file(run))


def _filled(description: TrainedModel, path: Path) -> nn.Module:
    model = description.build()
    try:
        load_learned(model, load_file(path))
    except (SafetensorError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise InputError(
            f"{path} does not hold this model ({first})", "the run as saved"
        ) from error
    return model.eval()
