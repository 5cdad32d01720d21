"""A run's model, loaded to answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
from torch import nn

from edge_fgir._errors import InputError
from edge_fgir.data import DataSet, labels_of, prepared_images
from edge_fgir.evaluation import Floats
from edge_fgir.models import adjustment, best_tau, device_name, full_inference, logits_of, on_gpu
from edge_fgir.results import EvaluatedModel
from edge_fgir.runs.run import Run
from edge_fgir.runtime import Pixels, Preprocess


@dataclass(frozen=True)
class RunPredictor:
    """A run as :func:`edge_fgir.evaluation.evaluate` takes it: torch, in float32.

    Attributes:
        run: The run, at its setting.
        network: Its network, which is moved to the GPU where there is one.
        full: Answer by a CAL teacher's full inference, 8 forwards.
        tau: Of the post-hoc logit adjustment; None: none.
        offset: (K,) what the adjustment adds to the logits.
    """

    run: Run
    network: nn.Module
    full: bool = False
    tau: float | None = None
    offset: Floats | None = None

    def __post_init__(self) -> None:
        if self.full and not self.run.description.network.attention_maps:
            raise InputError(
                f"--full: {self.run.path} is no CAL teacher",
                "the run folder of a CAL teacher",
                "leave out --full",
            )
        on_gpu(self.network)

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the outputs."""
        return self.run.labels

    @property
    def preprocess(self) -> Preprocess:
        """What makes a picture an input."""
        return self.run.description.preprocess

    @property
    def subject(self) -> EvaluatedModel:
        """The run and the device that computes it, as results describe them."""
        described = self.run.description
        reduction = described.network.reduction
        device = device_name(next(self.network.parameters()).device)
        forwards = ", 8 forwards" if self.full else ""
        return EvaluatedModel(
            bundle=str(self.run.path),
            name=described.name,
            target="torch",
            precision="fp32",
            engine=f"torch {torch.__version__} eager {device}{forwards}",
            image_size=described.preprocess.size,
            model_bytes=self.run.weights.stat().st_size,
            cal_teacher=described.network.attention_maps > 0,
            reduction=reduction.model_dump(mode="json") if reduction is not None else None,
            logit_adjustment=self.tau,
        )

    def train_counts(self, data: DataSet) -> tuple[int, ...]:
        """Return the training pictures of each class; nothing where they are not known."""
        return self.run.train_counts(data)

    def adjusted(self, data: DataSet, tau: float | Literal["auto"]) -> RunPredictor:
        """Return it with a logit adjustment; ``auto``: the best for the macro accuracy on val.

        Raises:
            InputError: The training pictures of each class are not known.
        """
        counts = self.train_counts(data)
        if tau == "auto":
            samples = data.split("val")
            images = prepared_images(data, samples, self.preprocess)
            tau = best_tau(self.logits(images, "logit adjustment"), labels_of(samples), counts)
        return replace(self, tau=tau, offset=adjustment(counts, tau))

    def logits(self, images: Pixels, title: str) -> Floats:
        """Return (N, K) for prepared pictures (N, S, S, 3); ``title`` is of the progress."""
        network: Any = self.network
        forward = partial(full_inference, network) if self.full else None
        normalization = self.run.description.normalization
        logits = logits_of(network, images, normalization, title, forward)
        return logits if self.offset is None else logits + self.offset

    def probabilities(self, images: Pixels, title: str = "classifying") -> Floats:
        """Return (N, K) for prepared pictures (N, S, S, 3); ``title`` is of the progress."""
        probabilities: Floats = torch.from_numpy(self.logits(images, title)).softmax(1).numpy()
        return probabilities
