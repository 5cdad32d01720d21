"""How long a step takes, before a training begins."""

from __future__ import annotations

import time
from statistics import median

import torch
import torch.nn.functional as F

from edge_fgir.fitting.networks import Candidate
from edge_fgir.models import freeze_norms, normalized, on_gpu
from edge_fgir.training import autocast, resolve_precision

_STEPS = 3
_VIEWS = {"probe": 1, "ce": 1, "kd": 1, "tgda": 3, "cal": 3}
"""Pictures that a step shows the network for each picture of the batch."""
_BESIDE = 1.15
"""Reading, augmentation and the optimiser, over the network's own time."""


def step_seconds(candidate: Candidate, classes: int, batch: int, method: str, wish: str) -> float:
    """Return the seconds of a training step, from a few steps on noise.

    Args:
        candidate: What would be trained.
        classes: Number of classes.
        batch: Pictures of a step.
        method: How it is trained.
        wish: The recipe's precision.
    """
    side = candidate.image_size
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = on_gpu(candidate.network().build(classes, side)).train()
        if candidate.architecture.is_pretrained:
            freeze_norms(model)
        device = next(model.parameters()).device
        pixels = torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8, device=device)
        labels = torch.randint(0, classes, (batch,), device=device)
        images = normalized(pixels, candidate.architecture.normalization)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
        precision = resolve_precision(wish, device)
        times = []
        for _ in range(_STEPS):
            began = time.monotonic()
            with autocast(device, precision):
                logits = model(images)
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(logits.float(), labels).backward()
            optimizer.step()
            if device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.monotonic() - began)
    return _BESIDE * _VIEWS[method] * median(times[1:])
