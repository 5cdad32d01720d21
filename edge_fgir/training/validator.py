"""Validation during a run: as the device will see it, at every setting of an elastic run."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from edge_fgir.data import DataSet, labels_of, prepared_images, typical_images
from edge_fgir.evaluation import accuracy
from edge_fgir.models import Setting, as_wrapper, reestimate
from edge_fgir.runs import TrainedModel
from edge_fgir.training.elastic import settings_of
from edge_fgir.training.processes import Processes


class Validator:
    """The validation split, read once.

    Args:
        trained: What the model will be fed.
        data: Its pictures.
        processes: They share the work.
    """

    def __init__(self, trained: TrainedModel, data: DataSet, processes: Processes) -> None:
        self._processes = processes
        samples = data.split("val")
        self._labels = labels_of(samples)
        own_size = trained.preprocess.size
        self._settings = settings_of(trained.elastic_sizes, trained.elastic_keep_rates, own_size)
        self._described = [trained.at(setting) for setting in self._settings]
        self._images = [
            prepared_images(data, samples, described.preprocess) for described in self._described
        ]
        self._typical = [
            typical_images(data, described.preprocess)
            for described in self._described
            if trained.elastic and not trained.frozen_norms
        ]

    def answers(self, model: nn.Module, title: str) -> tuple[Tensor, Tensor]:
        """Return logits (N, K) at the run's own setting, and labels (N,)."""
        described = self._described[0]
        logits = self._processes.logits(model, self._images[0], described.normalization, title)
        return torch.from_numpy(logits), torch.from_numpy(self._labels)

    def metrics(self, model: nn.Module, title: str) -> dict[str, float]:
        """Return ``val_top1`` and ``val_macro``, percent.

        For smaller settings ``val_top1_<size>`` or ``val_top1_<size>_<keep rate>``.
        """
        metrics: dict[str, float] = {}
        for number, described in enumerate(self._described):
            if self._typical:
                model = deepcopy(model)
            with as_wrapper(model).keeping(self._settings[number].keep_rate):
                if self._typical:
                    reestimate(model, self._typical[number], described.normalization)
                images = self._images[number]
                logits = self._processes.logits(model, images, described.normalization, title)
            probabilities = torch.from_numpy(logits).softmax(1).numpy()
            top1 = accuracy.top_k(probabilities, self._labels, 1)
            if number:
                metrics[f"val_top1_{_name(self._settings[number])}"] = top1
            else:
                metrics["val_top1"] = top1
                metrics["val_macro"] = accuracy.macro(probabilities, self._labels)
        return metrics


def _name(setting: Setting) -> str:
    size, rate = setting.image_size, setting.keep_rate
    return f"{size}" if rate is None else f"{size}_{rate:g}"
