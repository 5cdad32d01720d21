"""Number formats of a training step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def resolve_precision(wanted: str, device: torch.device) -> str:
    """Return ``fp32``, ``bf16`` or ``fp16``; ``auto`` takes what the device computes fast."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "fp16"
    # Without bfloat16 instructions a CPU emulates it, several times slower than float32.
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if native else "fp32"


@contextmanager
def autocast(device: torch.device, precision: str) -> Iterator[None]:
    """Compute in ``fp32``, ``bf16`` or ``fp16`` where that is safe."""
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    with torch.autocast(device.type, dtype=kind, enabled=kind is not None):
        yield
