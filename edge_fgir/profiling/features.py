"""Latency as a sum: a constant, the stem by pixels, every block by its tokens, the reducers.

The stem and a block are curves through given knots, linear between them; what is looked for is how
much each rises from one knot to the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edge_fgir.profiling.workload import Work

Array = npt.NDArray[np.float64]

_TOKEN_KNOTS, _PIXEL_KNOTS = 12, 8
_TOKENS_TOGETHER = 100.0


class Stiffness(NamedTuple):
    """How far the curves may bend at a knot, in typical latencies: smaller is stiffer."""

    stem: float
    block: float


class Tile(NamedTuple):
    """Kernels that work on ``size`` tokens at a time, for a ``share`` of a block's time."""

    size: int
    share: float


SMOOTH = Tile(1, 0.0)


class Knots(NamedTuple):
    """Where the two curves may bend: pixels of the input, tokens of a block."""

    pixels: tuple[float, ...]
    tokens: tuple[float, ...]

    @classmethod
    def over(cls, works: Sequence[Work]) -> Knots:
        """Return knots that lie as densely as the works do."""
        tokens = {float(n) for work in works for n in (*work.attention, *work.mlp)}
        pixels = {float(work.pixels) for work in works}
        return cls(_spread(pixels, _PIXEL_KNOTS), _spread(tokens, _TOKEN_KNOTS))

    @property
    def stem(self) -> slice:
        """Columns of the stem."""
        return slice(1, 1 + len(self.pixels))

    @property
    def block(self) -> slice:
        """Columns of a block."""
        return slice(self.stem.stop, self.stem.stop + len(self.tokens))

    @property
    def parts(self) -> int:
        """Number of columns: with the constant, the stages that drop tokens, and their tokens."""
        return 3 + len(self.pixels) + len(self.tokens)


def design_of(works: Sequence[Work], knots: Knots, dim: int, tile: Tile = SMOOTH) -> Array:
    """Return how often each part counts in each work, (works, parts)."""
    rows = np.zeros((len(works), knots.parts))
    rows[:, 0] = 1.0
    rows[:, knots.stem] = rise(np.array([work.pixels for work in works], float), knots.pixels)
    for row, work in zip(rows, works, strict=True):
        attention, mlp = np.asarray(work.attention, float), np.asarray(work.mlp, float)
        if len(attention):
            row[knots.block] = attention_share(attention, dim) @ tiled(attention, knots, tile)
            row[knots.block] += (1 - attention_share(mlp, dim)) @ tiled(mlp, knots, tile)
        row[-2:] = len(work.reduced), sum(work.reduced) / _TOKENS_TOGETHER
    return rows


def tiled(tokens: Array, knots: Knots, tile: Tile) -> Array:
    """Return :func:`rise` of tokens, a share of them rounded up to whole tiles."""
    padded = np.ceil(tokens / tile.size) * tile.size
    plain, full = rise(tokens, knots.tokens), rise(padded, knots.tokens)
    mixed: Array = (1 - tile.share) * plain + tile.share * full
    return mixed


def attention_share(tokens: Array, dim: int) -> Array:
    """Return attention's share of a block: 4nD^2 + 2n^2D of 12nD^2 + 2n^2D multiply-accumulates."""
    attention = 4 * dim + 2 * tokens
    share: Array = attention / (attention + 8 * dim)
    return share


def rise(values: Array, knots: Sequence[float]) -> Array:
    """Return the share of each stretch between knots that lies below each value, (values, knots).

    Beyond the last knot the last stretch goes on.
    """
    edges = np.array([0.0, *knots])
    if len(edges) == 1:
        return np.zeros((len(values), 0))
    shares: Array = np.clip((values[:, None] - edges[:-1]) / np.diff(edges), 0, 1)
    shares[:, -1] += np.maximum(values - edges[-1], 0) / (edges[-1] - edges[-2])
    return shares


def prior_of(design: Array, knots: Knots, stiffness: Stiffness) -> Array:
    """Return rows that are zero for a stem linear in pixels and a block quadratic in tokens.

    For latencies of about one, and with a spread of about one.
    """
    blocks = design[:, knots.block].max(initial=0.0)
    rows = [
        *_bends(knots.pixels, knots.stem, knots.parts, order=1, weight=1 / stiffness.stem),
        *_bends(knots.tokens, knots.block, knots.parts, order=2, weight=blocks / stiffness.block),
    ]
    return np.reshape(rows, (-1, knots.parts))


def _bends(
    knots: Sequence[float], columns: slice, parts: int, *, order: int, weight: float
) -> Iterator[Array]:
    """Yield differences of ``order`` between the slopes of neighbouring stretches."""
    if len(knots) <= order or not weight:
        return
    edges = np.array([0.0, *knots]) / knots[-1]
    differences, places = np.diag(1 / np.diff(edges)), (edges[1:] + edges[:-1]) / 2
    for step in range(order):
        if step:
            differences = differences / np.diff(places)[:, None]
            places = (places[1:] + places[:-1]) / 2
        differences = np.diff(differences, axis=0)
    for difference in differences:
        row = np.zeros(parts)
        row[columns] = weight * difference
        yield row


def _spread(values: set[float], count: int) -> tuple[float, ...]:
    """Return up to ``count`` of the values, evenly by rank, the ends among them."""
    ordered = sorted(values)
    if len(ordered) <= count:
        return tuple(ordered)
    places = np.unique(np.linspace(0, len(ordered) - 1, count).round().astype(int))
    return tuple(ordered[place] for place in places)
