"""Leaving mixed precision where float32 is needed."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Leave autocast while the block runs; without it nothing is entered.

    The meta device (counting) has no autocast, and under the exporter the layers of a block in
    which it is left lose their names.
    """
    known = torch.amp.is_autocast_available(device.type)
    if known and torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()
