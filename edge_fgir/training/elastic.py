"""Elastic training: one set of weights that stays good at several input sizes and keep rates.

Sandwich rule and in-place distillation (arXiv 1903.05134), applied to input size as in arXiv
1909.12978, and to the keep rate of token reduction (ours). Each step trains the largest setting,
the smallest and some between, all by the method's own loss, and all but the largest by its soft
answers too, as labels reach each size in arXiv 2212.00776.
"""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor, nn

from edge_fgir._errors import InputError
from edge_fgir.models import Setting, as_wrapper
from edge_fgir.runs import ElasticSection, LossSection
from edge_fgir.runtime import Preprocess
from edge_fgir.training.losses import distillation, of_all_processes
from edge_fgir.training.methods import Batch, StudentMethod
from edge_fgir.training.student_size import to_student_size


def settings_of(
    image_sizes: tuple[int, ...], keep_rates: tuple[float, ...], image_size: int
) -> list[Setting]:
    """Return every setting of an elastic run, the largest first, the smallest last."""
    sizes = sorted(image_sizes, reverse=True) or [image_size]
    rates: list[float | None] = [*sorted(keep_rates, reverse=True)] or [None]
    return [Setting(size, rate) for size, rate in product(sizes, rates)]


class Elastic:
    """A method, trained at several settings in every step.

    Args:
        method: What every setting learns.
        section: The settings.
        loss: At which temperature the others learn the largest's answers: the teacher's.
        preprocess: How evaluation makes the input of the largest setting.
    """

    def __init__(
        self,
        method: StudentMethod,
        section: ElasticSection,
        loss: LossSection,
        preprocess: Preprocess,
    ) -> None:
        self.method, self._loss, self._preprocess = method, loss, preprocess
        settings = settings_of(section.image_sizes, section.keep_rates, preprocess.size)
        largest, *self._between, self._smallest = settings
        self._of_all_tokens = [
            setting for setting in self._between if setting.keep_rate == largest.keep_rate
        ]
        self._draws = min(section.random_settings, len(self._between))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the method's loss at all settings, plus the others' distances to the largest."""
        settings = self._settings(batch.images.device)
        shown = self.method.outcome(model, batch)
        loss, target = shown.loss, torch.cat(shown.logits).detach()
        for setting in settings:
            answers = self._answers(model, shown.images, setting)
            distance = distillation(
                torch.cat(answers), target, self._loss.temperature, self._loss.kd_t2_scaling
            )
            loss = loss + shown.judge(answers) + distance
        return loss

    def _settings(self, device: torch.device) -> list[Setting]:
        """Return the smallest setting and some between: of several processes, the first draws.

        The first of them keeps all tokens, where sizes differ: keep rates of a size share nearly
        all that it learns, and sizes less.
        """
        order = torch.randperm(len(self._between), device=device)
        places = of_all_processes(order[None])[0].tolist()
        drawn = [self._between[place] for place in places]
        first = [setting for setting in drawn if setting in self._of_all_tokens][:1]
        others = [setting for setting in drawn if setting not in first]
        return [self._smallest, *[*first, *others][: self._draws]]

    def _answers(self, model: nn.Module, parts: list[Tensor], setting: Setting) -> list[Tensor]:
        seen = self._preprocess.model_copy(update={"size": setting.image_size})
        with as_wrapper(model).keeping(setting.keep_rate):
            logits: Tensor = model(to_student_size(torch.cat(parts), seen))
        return list(logits.float().split([len(part) for part in parts]))

    def state(self) -> dict[str, Tensor]:
        """Return what the method must keep."""
        return self.method.state()

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Give it back to the method."""
        self.method.load_state(state)


def check_sizes(model: nn.Module, section: ElasticSection) -> None:
    """Raise InputError if ``model`` takes no other input size than its own."""
    backbone = as_wrapper(model).backbone
    if len(section.image_sizes) > 1 and getattr(
        getattr(backbone, "patch_embed", None), "strict_img_size", False
    ):
        raise InputError(
            f"elastic.image_sizes for {type(backbone).__name__}, which is built for one input size",
            "a model of any size",
            "add --set model.options.dynamic_img_size=true",
        )
