"""What choosing a region costs: operations of five mechanisms in a ViT-B/16 (arXiv 2407.12891).

See docs/science/glsim.md#cost-of-choosing.
Products and sums are both counted for the mechanisms; the backbone is counted in multiply-adds, as
the authors count it. Where the paper gives the order of growth alone (MAWS, SACM,
and rollout's lower terms), the constants here are ours: they give the printed digits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

Mechanism = Literal["psm", "rollout", "maws", "sacm", "gls"]
MECHANISMS: tuple[Mechanism, ...] = get_args(Mechanism)

_DEPTH, _DIM, _HEADS, _PATCH, _STRIDE = 12, 768, 12, 16, 12
_LAYERS = _DEPTH - 1
"""Attention maps that are looked at: all but the last."""


def selection_ops(mechanism: Mechanism, image_size: int) -> int:
    """Return the operations that choose a region of a square input of ``image_size`` pixels.

    PSM (TransFG) and SACM (AF-Trans) use overlapping patches, 12 pixels apart.
    """
    return _OPS[mechanism](image_size)


def backbone_macs(image_size: int, num_classes: int) -> int:
    """Return the multiply-adds of the authors' baseline, patches 16 pixels apart."""
    tokens, dim = _tokens(image_size, _PATCH), _DIM
    embedding = 2 * (tokens - 1) * _PATCH**2 * 3 * dim
    blocks = _DEPTH * (12 * tokens * dim**2 + 2 * tokens**2 * dim)
    return embedding + blocks + dim * num_classes


def _tokens(image_size: int, stride: int) -> int:
    return ((image_size - _PATCH) // stride + 1) ** 2 + 1


def _psm(image_size: int) -> int:
    tokens = _tokens(image_size, _STRIDE)
    return (_LAYERS - 1) * _HEADS * tokens**2 * (2 * tokens - 1)


def _rollout(image_size: int) -> int:
    tokens = _tokens(image_size, _PATCH)
    # The mean of the heads, the identity and the rows' norm, then the product.
    return _LAYERS * tokens**2 * (_HEADS + 2 + 2 * tokens - 1)


def _maws(image_size: int) -> int:
    return _LAYERS * _tokens(image_size, _PATCH) * (5 * _HEADS + 1)


def _sacm(image_size: int) -> int:
    return (_LAYERS * _HEADS + 1) * _tokens(image_size, _STRIDE) ** 2


def _gls(image_size: int) -> int:
    return (_tokens(image_size, _PATCH) - 1) * (3 * _DIM + 3)


_OPS: dict[Mechanism, Callable[[int], int]] = {
    "psm": _psm,
    "rollout": _rollout,
    "maws": _maws,
    "sacm": _sacm,
    "gls": _gls,
}
