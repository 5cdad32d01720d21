"""Running a torch model on prepared pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edge_fgir._progress import progress
from edge_fgir.runtime import Normalization, Pixels

_BATCH = 32


def normalized(pixels: Tensor, normalization: Normalization) -> Tensor:
    """Turn (B, 3, S, S) ``uint8`` into normalised ``float32``, channels last in memory."""
    mean = torch.tensor(normalization.mean, device=pixels.device)[:, None, None]
    std = torch.tensor(normalization.std, device=pixels.device)[:, None, None]
    images = (pixels.float() / 255 - mean) / std
    return images.contiguous(memory_format=torch.channels_last)


def normalized_batches(
    images: Pixels, normalization: Normalization, device: torch.device, *, even: bool = False
) -> Iterator[Tensor]:
    """Yield (N, S, S, 3) ``uint8`` pictures as normalised (B, 3, S, S) on ``device``.

    ``even``: batches of nearly one size, where statistics of a small last one would count as much.
    """
    parts = -(-len(images) // _BATCH)
    for number in range(parts):
        start, end = number * _BATCH, (number + 1) * _BATCH
        if even:
            start, end = (len(images) * n // parts for n in (number, number + 1))
        batch = torch.from_numpy(images[start:end]).permute(0, 3, 1, 2)
        yield normalized(batch.to(device), normalization)


def on_gpu(model: nn.Module) -> nn.Module:
    """Move a network to the GPU, where there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return model.to(device).to(memory_format=torch.channels_last)


def device_name(device: torch.device) -> str:
    """Return a device's name for people: ``CPU``, or that of the graphics card."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper()


@torch.inference_mode()
def logits_of(
    model: nn.Module,
    images: Pixels,
    normalization: Normalization,
    title: str,
    forward: Callable[[Tensor], Tensor] | None = None,
) -> npt.NDArray[np.float32]:
    """Return logits (N, K) of (N, S, S, 3) ``uint8`` pictures, in evaluation mode and float32.

    Args:
        model: The network, where it is to compute.
        images: Prepared pictures.
        normalization: What the network expects.
        title: Of the progress.
        forward: Computes the logits of a batch instead of the network's own forward.
    """
    forward = forward or model
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    logits = []
    with progress(title, len(images)) as meter:
        for batch in normalized_batches(images, normalization, device):
            logits.append(forward(batch).float().cpu())
            meter.advance(len(batch))
    model.train(training)
    result: npt.NDArray[np.float32] = torch.cat(logits).numpy()
    return result
