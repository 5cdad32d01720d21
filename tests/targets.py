"""Targets as the networks of tests need them, which have seen 72 pictures."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from edge_fgir._cache import cache_path
from edge_fgir.runtime import target_names

if TYPE_CHECKING:
    from edge_fgir.exporting import Target

_LOOSE = {"max_top1_drop": 100.0}
_CONVERTERS = {"litert": "litert_torch", "web": "litert_torch"}
"""What a target's builder needs beyond the extra ``export``."""

_PAGE_LIBRARIES = [f"litertjs-{name}-2.5.3.tgz" for name in ("core", "wasm-utils")]
"""What the page of a bundle for browsers computes with: the files that ``target.yaml`` pins."""


def exported(name: str, *more: object) -> Any:
    """Return the parameters of a test that exports for a target; it skips where that cannot be."""
    lacks = _lacks(name)
    return pytest.param(name, *more, marks=pytest.mark.skipif(bool(lacks), reason=lacks))


def _lacks(name: str) -> str:
    """Return what an export for a target lacks here; empty if nothing."""
    converter = _CONVERTERS.get(name)
    if converter is not None and find_spec(converter) is None:
        return f"{converter} is not installed: edge-fgir[export-litert]"
    if name == "web":
        paths = [cache_path() / "npm" / library for library in _PAGE_LIBRARIES]
        if absent := [path for path in paths if not path.is_file()]:
            return f"{absent[0]} is not there: make npm"
    return ""


def exported_targets() -> list[Any]:
    """Return all targets as :func:`exported` does."""
    return [exported(name) for name in target_names()]


def loosened(name: str, *, schemes: int | None = None, **gates: float) -> Target:
    """Return a target whose gates let a network pass that 36 validation images say little of.

    Args:
        name: One of the shipped targets.
        schemes: How many INT8 schemes of each kind are tried, the first ones; None: all.
        gates: Bounds that replace its own.
    """
    from edge_fgir.exporting import read_target

    target = read_target(name)
    quantization = target.quantization
    return target.model_copy(
        update={
            "gates": target.gates.model_copy(update={**_LOOSE, **gates}),
            "quantization": quantization.model_copy(
                update={
                    "images": 36,
                    "cnn": dict(list(quantization.cnn.items())[:schemes]),
                    "transformer": dict(list(quantization.transformer.items())[:schemes]),
                }
            ),
        }
    )
