"""Optimiser and schedule.

Source: arXiv 2507.12157, docs/science/tgda.md#schedule.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.optim import Muon
from timm.scheduler import CosineLRScheduler, StepLRScheduler
from timm.scheduler.scheduler import Scheduler
from torch import nn

from edge_fgir.runs import OptimizerSection


def make_optimizer(model: nn.Module, section: OptimizerSection) -> torch.optim.Optimizer:
    """Build the optimiser.

    Not decayed are biases, 1-D tensors and what the model names itself, such as position embeddings
    (timm's rule).
    """
    undecayed: Any = getattr(model, "no_weight_decay", set)
    named = undecayed()
    learned = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    weights = [p for name, p in learned if p.ndim > 1 and name not in named]
    others = [p for name, p in learned if p.ndim <= 1 or name in named]
    groups: list[dict[str, Any]] = [
        {"params": weights, "weight_decay": section.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if section.name == "sgd":
        return torch.optim.SGD(groups, lr=section.lr, momentum=0.9, nesterov=section.nesterov)
    if section.name == "muon":
        groups[1]["use_fallback"] = True
        muon: torch.optim.Optimizer = Muon(groups, lr=section.lr, nesterov=section.nesterov)
        return muon
    return torch.optim.AdamW(groups, lr=section.lr, eps=1e-8, fused=True)


def make_scheduler(
    optimizer: torch.optim.Optimizer, section: OptimizerSection, epochs: int, steps_per_epoch: int
) -> Scheduler:
    """Build the per-step cosine schedule; the warm-up counts inside it.

    Source: arXiv 2507.12157, docs/science/tgda.md#schedule.

    It never rises: where ``lr`` is below ``min_lr`` the rate is ``lr`` throughout.
    The cool-down follows it, at the lowest rate
    (arXiv 2501.00243, docs/science/clca.md#recipe). Or the rate is divided every
    so many epochs (arXiv 2101.08674, docs/science/dafre.md#recipe).
    """
    warm_up = section.warmup_steps + section.warmup_epochs * steps_per_epoch
    if section.decay_epochs:
        return StepLRScheduler(
            optimizer,
            decay_t=section.decay_epochs * steps_per_epoch,
            decay_rate=1 / section.decay_factor,
            warmup_t=warm_up,
            warmup_lr_init=section.warmup_lr,
            warmup_prefix=False,
            t_in_epochs=False,
        )
    return CosineLRScheduler(
        optimizer,
        t_initial=(epochs - section.cooldown_epochs) * steps_per_epoch,
        lr_min=min(section.min_lr, section.lr),
        warmup_t=warm_up,
        warmup_lr_init=section.warmup_lr,
        t_in_epochs=False,
    )
