"""What is exported: the run's model in torch, and its answers that every stage is compared with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from torch import nn

from edge_fgir._errors import InputError
from edge_fgir.data import DataSet, draw_by_class, typical_images
from edge_fgir.evaluation import Shots
from edge_fgir.exporting.calibration import Validation
from edge_fgir.exporting.gates import ParityGates
from edge_fgir.exporting.graph import Logits
from edge_fgir.exporting.options import ExportOptions
from edge_fgir.exporting.pictures import pictures_in
from edge_fgir.exporting.target import Gates
from edge_fgir.models import adjustment, as_wrapper, best_tau, logits_of, with_adjustment
from edge_fgir.runs import Run, TrainedModel
from edge_fgir.runtime import OriginInfo, Pixels

_GOLDEN_IMAGES = 16
_MOST_BYTES = 2_000_000_000


@dataclass(frozen=True)
class Ancestor:
    """The run that another one was trained on from.

    Attributes:
        path: Its folder.
        gates: What a bundle of the other one may lose against it.
    """

    path: Path
    gates: Gates


@dataclass(frozen=True)
class Source:
    """A run's model at a setting, logits adjusted if that is asked for.

    Attributes:
        trained: What describes it.
        origin: What its weights came from.
        model: In evaluation mode.
        labels: Class names in the order of the output.
        counts: Training pictures of each class.
        tau: Of the logit adjustment; None: none.
        validation: The validation split as the device sees it.
        golden: (N, S, S, 3), the pictures that a bundle carries: some of each class of that split,
            or those that the options name.
        parity: Its logits on that split, and the target's bounds.
        judge: What the opened bundle is held against: the same; of a run that was trained on, the
            logits of the one before and its bounds.
    """

    trained: TrainedModel
    origin: OriginInfo
    model: nn.Module
    labels: tuple[str, ...]
    counts: tuple[int, ...]
    tau: float | None
    validation: Validation
    golden: Pixels
    parity: ParityGates
    judge: ParityGates

    @classmethod
    def read(
        cls,
        folder: Path,
        data: DataSet,
        gates: Gates,
        options: ExportOptions,
        ancestor: Ancestor | None = None,
    ) -> Source:
        """Load a run and ask it about the validation split.

        Args:
            folder: The run.
            data: Its data set.
            gates: The target's bounds.
            options: How it is exported.
            ancestor: The run that it was trained on from, whose accuracy the bundle shall keep;
                None: its own.

        Raises:
            InputError: Run, setting and data do not go together, or no graph can be made of it.
        """
        # First, and of it the answers alone: the pictures are in memory once.
        before = (
            None
            if ancestor is None
            else cls.read(ancestor.path, data, ancestor.gates, options).parity
        )
        run = Run.open(folder).at(options.setting)
        run.check_classes(data)
        if run.learned_val and options.logit_adjustment == "auto":
            raise InputError(
                f"--logit-adjustment auto for run {folder}, which was trained on val as well",
                "val that it has not seen",
                "give tau itself, or train without data.with_val",
            )
        trained, model = run.description, run.load(partial(typical_images, data))
        _check_fixed_shapes(model, options.fixed_samples)
        _check_weights(model, folder)
        validation = Validation.of(data, trained.preprocess)
        golden = (
            _drawn(validation)
            if options.golden is None
            else pictures_in(options.golden, trained.preprocess, _GOLDEN_IMAGES)
        )
        counts = trained.train_counts or tuple(data.counts("train"))
        tau = _adjust(model, trained, validation, counts, options.logit_adjustment)
        reference = logits_of(model, validation.images, trained.normalization, "torch")
        few_shot = np.isin(validation.labels, Shots(counts).labels_of("few"))
        parity = ParityGates(reference, validation.labels, gates, few_shot)
        judge = parity if before is None else replace(before, stages=parity.stages, peers=True)
        return cls(
            trained, run.origin, model, run.labels, counts, tau, validation, golden, parity, judge
        )

    @property
    def images(self) -> Pixels:
        """The validation images, (N, S, S, 3)."""
        return self.validation.images

    def logits(self, form: nn.Module, images: Pixels, title: str) -> Logits:
        """Return the logits (N, K) of a form of the model."""
        return logits_of(form, images, self.trained.normalization, title)


def _drawn(validation: Validation) -> Pixels:
    """Return some pictures of each class."""
    drawn = {each.path for each in draw_by_class(validation.samples, _GOLDEN_IMAGES)}
    pixels: Pixels = validation.images[[each.path in drawn for each in validation.samples]]
    return pixels


def _adjust(
    model: nn.Module,
    trained: TrainedModel,
    validation: Validation,
    counts: tuple[int, ...],
    tau: float | Literal["auto"] | None,
) -> float | None:
    """Adjust a model's logits in place and return tau."""
    if tau is None:
        return None
    if tau == "auto":
        logits = logits_of(model, validation.images, trained.normalization, "logit adjustment")
        tau = best_tau(logits, validation.labels, counts)
    with_adjustment(model, adjustment(counts, tau), trained.preprocess.size)
    return tau


def _check_weights(model: nn.Module, run: Path) -> None:
    """Refuse weights that are not numbers, and more of them than an ONNX file holds."""
    size = 0
    for name, value in model.state_dict().items():
        size += value.numel() * value.element_size()
        if value.is_floating_point() and not value.isfinite().all():
            raise InputError(
                f"the weights of {run} are not finite: {name}",
                "a training that did not diverge",
                "train again with a smaller optimizer.lr",
            )
    if size >= _MOST_BYTES:
        raise InputError(
            f"the weights of {run} take {size / 1e9:.1f} GB",
            "less than 2 GB, which is all that an ONNX file can hold",
            "train a smaller model",
        )


def _check_fixed_shapes(model: nn.Module, fixed_samples: bool) -> None:
    if as_wrapper(model).adaptive and not fixed_samples:
        raise InputError(
            "token reduction ats keeps what a picture needs, and a graph has one shape",
            "another method, such as evit",
            "or add --fixed-samples: the most tokens are computed for every picture",
        )
