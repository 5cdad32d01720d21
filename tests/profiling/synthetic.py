"""Devices that are a formula: what they take is known exactly."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from edge_fgir.models.setting import Setting
from edge_fgir.profiling.workload import Work

DIM, DEPTH, STAGES = 192, 12, (3, 6, 9)
SIZES = tuple(range(96, 321, 32))


def work_of(setting: Setting) -> Work:
    """Return what a plain 12-block transformer does: EViT's counts, to the token."""
    rates = setting.keep_rate if isinstance(setting.keep_rate, tuple) else (setting.keep_rate,) * 3
    tokens, attention, mlp, reduced = (setting.image_size // 16) ** 2 + 1, [], [], []
    for block in range(DEPTH):
        attention.append(tokens)
        if block in STAGES:
            kept = math.ceil((rates[STAGES.index(block)] or 1.0) * (tokens - 1)) + 1
            if kept < tokens:
                reduced.append(tokens)
            tokens = kept
        mlp.append(tokens)
    return Work(setting.image_size**2, tuple(attention), tuple(mlp), tuple(reduced))


def smooth(work: Work) -> float:
    """Return milliseconds of a device without steps."""
    blocks = zip(work.attention, work.mlp, strict=True)
    total = 0.3 + 2e-5 * work.pixels + 0.01 * len(work.reduced)
    return total + sum(2e-3 * a + 4e-6 * a * a + 4e-3 * m for a, m in blocks)


def tiles(size: int) -> Callable[[Work], float]:
    """Return a device half of whose time in a block goes by whole tiles of tokens."""

    def device(work: Work) -> float:
        blocks = zip(work.attention, work.mlp, strict=True)
        total = 0.5 + 1e-5 * work.pixels
        return total + sum((block(a) + 2 * block(m)) / 3 for a, m in blocks)

    def block(tokens: int) -> float:
        return 2.8e-3 * (size * math.ceil(tokens / size) + tokens) + 6e-6 * tokens**2

    return device


staircase = tiles(32)


def settings(count: int, seed: int = 0) -> list[Setting]:
    """Return settings drawn at random."""
    random = np.random.default_rng(seed)
    rates: Sequence[float] = (1.0, 0.85, 0.7, 0.55, 0.4, 0.25)
    return [
        Setting(int(random.choice(SIZES)), tuple(map(float, random.choice(rates, 3))))
        for _ in range(count)
    ]
