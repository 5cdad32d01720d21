"""A chart of class sizes, largest first, coloured by shot group: a file of its own, SVG or PNG."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edge_fgir._errors import InputError
from edge_fgir._files import write_atomic
from edge_fgir.evaluation import GROUPS, Shots
from edge_fgir.reporting.svg import add, canvas, markup, write

_WIDTH, _HEIGHT = 760, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 18, 58, 46
_INK, _MUTED, _GRID, _PAPER = "#1b2430", "#5f6b7c", "#e2e6ec", "#ffffff"
_COLORS = {"many": "#1f6f93", "medium": "#67b0b5", "few": "#d9a04e"}
_TITLE, _SMALL, _SWATCH, _GAP = 15, 12, 11, 24
_SCALE = 2
"""Pixels of a PNG a unit of the drawing."""


class Box(NamedTuple):
    """A filled box; left, top, right and bottom."""

    edges: tuple[float, float, float, float]
    color: str


class Label(NamedTuple):
    """A text, its baseline's start, middle or end at a place."""

    place: tuple[float, float]
    text: str
    size: int
    color: str
    anchor: Literal["start", "middle", "end"]


Shape = Box | Label


def save_class_sizes(path: Path, name: str, shots: Shots) -> None:
    """Draw the training pictures of each class, on a logarithmic axis.

    Args:
        path: A file ending in .svg or .png.
        name: Of the data.
        shots: The counts, and where the groups begin.

    Raises:
        InputError: The file has another ending.
    """
    ending = path.suffix.lower()
    if ending not in (".svg", ".png"):
        raise InputError(f"--plot {path}", "a file ending in .svg or .png")
    title = f"{name}: training pictures of {len(shots.train_counts)} classes"
    shapes = [*_frame(title, shots), *_bars(shots)]
    write_atomic(path, _svg(title, shapes) if ending == ".svg" else _png(shapes))


def _frame(title: str, shots: Shots) -> Iterator[Shape]:
    yield Box((0, 0, _WIDTH, _HEIGHT), _PAPER)
    yield Label((_LEFT, 22), title, _TITLE, _INK, "start")
    x = float(_LEFT)
    for group in GROUPS:
        count = shots.groups.count(group)
        text = f"{group} ({shots.ranges[group]}): {count}"
        yield Box((x, 34, x + _SWATCH, 34 + _SWATCH), _COLORS[group])
        yield Label((x + _SWATCH + 5, 44), text, _SMALL, _MUTED, "start")
        x += _SWATCH + 5 + 6.6 * len(text) + _GAP
    for power in range(_powers(shots.train_counts) + 1):
        y = _up(10**power, shots.train_counts)
        yield Box((_LEFT, y - 0.5, _WIDTH - _RIGHT, y + 0.5), _GRID)
        yield Label((_LEFT - 8, y + 4), f"{10**power:,}", _SMALL, _MUTED, "end")
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    text = "classes, the largest first"
    yield Label((middle, _HEIGHT - 14), text, _SMALL, _MUTED, "middle")


def _bars(shots: Shots) -> Iterator[Shape]:
    counts, groups = np.asarray(shots.train_counts), np.asarray(shots.groups)
    order = np.argsort(-counts, kind="stable")
    # Of more classes than there are pixels, as many as there are pixels.
    shown = min(len(counts), (_WIDTH - _LEFT - _RIGHT) * _SCALE)
    picked = order[np.linspace(0, len(order) - 1, shown).round().astype(int)]
    width = (_WIDTH - _LEFT - _RIGHT) / shown
    gap = 0.2 * width if width > 4 else 0.0
    bottom = _up(1, shots.train_counts)
    for place, label in enumerate(picked.tolist()):
        if counts[label]:
            left = _LEFT + place * width
            # A class of one picture is a line, not nothing.
            top = min(_up(int(counts[label]), shots.train_counts), bottom - 1)
            edges = (left + gap / 2, top, left + width - gap / 2, bottom)
            yield Box(edges, _COLORS[groups[label]])


def _powers(counts: Sequence[int]) -> int:
    return max(1, math.ceil(math.log10(max(counts))))


def _up(count: int, counts: Sequence[int]) -> float:
    share = math.log10(count) / _powers(counts)
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _svg(title: str, shapes: Sequence[Shape]) -> str:
    svg = canvas(
        title,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        **{"font-family": "sans-serif"},
    )
    for shape in shapes:
        if isinstance(shape, Box):
            left, top, right, bottom = (round(edge, 2) for edge in shape.edges)
            size = {"width": round(right - left, 2), "height": round(bottom - top, 2)}
            add(svg, "rect", x=left, y=top, fill=shape.color, **size)
        else:
            x, y = (round(value, 2) for value in shape.place)
            style = {"text_anchor": shape.anchor, "fill": shape.color, "font_size": shape.size}
            write(svg, None, shape.text, x=x, y=y, **style)
    return markup(svg)


def _png(shapes: Sequence[Shape]) -> bytes:
    image = Image.new("RGB", (_WIDTH * _SCALE, _HEIGHT * _SCALE), _PAPER)
    draw = ImageDraw.Draw(image)
    for shape in shapes:
        if isinstance(shape, Box):
            left, top, right, bottom = (round(_SCALE * edge) for edge in shape.edges)
            draw.rectangle((left, top, max(right - 1, left), max(bottom - 1, top)), shape.color)
        else:
            x, y = (_SCALE * value for value in shape.place)
            anchor = {"start": "ls", "middle": "ms", "end": "rs"}[shape.anchor]
            font = ImageFont.load_default(_SCALE * shape.size)
            draw.text((x, y), shape.text, shape.color, font, anchor)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
