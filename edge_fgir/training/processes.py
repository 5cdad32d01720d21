"""The processes of a run: one, or several under ``accelerate launch`` or ``torchrun``."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, distributed, nn

from edge_fgir.models import as_wrapper, logits_of
from edge_fgir.runtime import Normalization, Pixels
from edge_fgir.training.fake_quantization import FakeQuantMode
from edge_fgir.training.losses import of_all_processes
from edge_fgir.training.methods import Batch, Method
from edge_fgir.training.sync_batch_norm import SyncBatchNormMode


class Processes:
    """Rank, device and what the processes do together.

    The number format is the recipe's, so accelerate's own mixed precision stays off.
    """

    def __init__(self) -> None:
        self._accelerator = Accelerator(mixed_precision="no")
        self.rank: int = self._accelerator.process_index
        self.count: int = self._accelerator.num_processes
        self.first: bool = self.rank == 0
        self.device: torch.device = self._accelerator.device

    def wait(self) -> None:
        """Go on when every process is here."""
        self._accelerator.wait_for_everyone()

    def place(self, model: nn.Module) -> nn.Module:
        """Move a model to the device."""
        return model.to(self.device).to(memory_format=torch.channels_last)

    def join(self, step: Step) -> nn.Module:
        """Average gradients over the processes."""
        if self.count == 1:
            return step
        self._accelerator.ddp_handler = DistributedDataParallelKwargs(
            # BatchNorm statistics are the same everywhere; copying them between two forwards would
            # spoil the backward.
            broadcast_buffers=False,
            find_unused_parameters=as_wrapper(step.model).skips_layers,
        )
        joined: nn.Module = self._accelerator.prepare_model(step)
        return joined

    def mean(self, value: Tensor) -> Tensor:
        """Return the mean of a tensor over the processes."""
        return of_all_processes(value[None]).mean(dim=0) if self.count > 1 else value

    def logits(
        self, model: nn.Module, images: Pixels, normalization: Normalization, title: str
    ) -> np.ndarray:
        """Return logits (N, K) of (N, S, S, 3) pictures; each process computes its share."""
        share = -(-len(images) // self.count)
        places = np.arange(share * self.count) % len(images)
        own = places.reshape(share, self.count)[:, self.rank]
        logits = torch.from_numpy(logits_of(model, images[own], normalization, title))
        together = of_all_processes(logits.to(self.device)).cpu()
        ordered = together.unflatten(0, (self.count, share)).transpose(0, 1).flatten(0, 1)
        result: np.ndarray = ordered[: len(images)].numpy()
        return result


class Step(nn.Module):
    """Network and method as one module whose forward is the loss: what several GPUs share.

    Args:
        model: The network; the only part with parameters.
        method: What is minimised.
        quantization_aware: The network computes as INT8 will.
    """

    def __init__(
        self, model: nn.Module, method: Method, *, quantization_aware: bool = False
    ) -> None:
        super().__init__()
        self.model = model
        self.method = method
        self._quantization_aware = quantization_aware

    def forward(self, batch: Batch) -> Tensor:
        """Return the loss, and what the network itself adds to it."""
        with ExitStack() as modes:
            if distributed.is_initialized():
                modes.enter_context(SyncBatchNormMode())
            if self._quantization_aware:
                modes.enter_context(FakeQuantMode())
            loss = self.method.loss(self.model, batch)
        penalty = as_wrapper(self.model).take_penalty()
        return loss if penalty is None else loss + penalty
