"""Processors with and without bfloat16, as OpenVINO tells of them."""

from __future__ import annotations

from typing import Any

import pytest

PROPERTY = "OPTIMIZATION_CAPABILITIES"


def take_bfloat16_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let OpenVINO say that this processor does not compute in bfloat16."""
    from edge_fgir.runtime.runtimes.openvino import openvino_core

    core = openvino_core()
    told = core.get_property

    def get_property(device: str, name: str) -> Any:
        value = told(device, name)
        return [each for each in value if each != "BF16"] if name == PROPERTY else value

    monkeypatch.setattr(core, "get_property", get_property)
