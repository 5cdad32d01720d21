"""Inline SVG, built as element trees, so that every text in it is escaped.

Colours are classes ``s0`` to ``s5`` (areas) and ``t0`` to ``t5`` (lines) of the page's style sheet.
"""

from __future__ import annotations

import math
from xml.etree import ElementTree

SERIES = 6
"""How many series have a colour of their own."""

_WIDE = 5.0


def canvas(title: str, **attributes: object) -> ElementTree.Element:
    """Return an empty picture; ``title`` is read out in place of it."""
    svg = ElementTree.Element("svg", {"class": "chart", "role": "img", "aria-label": title})
    for name, value in attributes.items():
        svg.set(name, str(value))
    return svg


def add(
    parent: ElementTree.Element, tag: str, style: str | None = None, /, **attributes: object
) -> ElementTree.Element:
    """Add an element; underscores in names of attributes stand for hyphens."""
    element = ElementTree.SubElement(parent, tag)
    if style:
        element.set("class", style)
    for name, value in attributes.items():
        element.set(name.replace("_", "-"), str(value))
    return element


def write(
    parent: ElementTree.Element, style: str | None, text: str, /, **attributes: object
) -> ElementTree.Element:
    """Add a text."""
    element = add(parent, "text", style, **attributes)
    element.text = text
    return element


def hint(parent: ElementTree.Element, text: str) -> None:
    """Add what is shown when the pointer rests on an element."""
    add(parent, "title").text = text


def markup(svg: ElementTree.Element) -> str:
    """Return a picture as safe markup."""
    return ElementTree.tostring(svg, encoding="unicode", short_empty_elements=False)


def shorten(text: str, letters: int) -> str:
    """Return at most ``letters`` letters of a text."""
    return text if len(text) <= letters else text[: letters - 1] + "\N{HORIZONTAL ELLIPSIS}"


def ratio_ticks(low: float, high: float) -> list[float]:
    """Return round numbers above zero that enclose ``low`` and ``high`` on a logarithmic axis."""
    mantissas = (1, 2, 5) if high > _WIDE * low else (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
    first, last = math.floor(math.log10(low)) - 1, math.floor(math.log10(high)) + 1
    all_of_them = [
        round(mantissa * 10.0**power, 10)
        for power in range(first, last + 1)
        for mantissa in mantissas
    ]
    begin = max(place for place, tick in enumerate(all_of_them) if tick <= low * (1 + 1e-9))
    end = min(place for place, tick in enumerate(all_of_them) if tick >= high * (1 - 1e-9))
    return all_of_them[begin : max(end, begin + 1) + 1]


def nice_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Return round numbers, about ``count`` steps apart, that enclose ``low`` and ``high``."""
    span = high - low or abs(high) or 1.0
    magnitude = 10.0 ** math.floor(math.log10(span / count))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude * count >= 0.999 * span)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(10, 2 - math.floor(math.log10(step)))
    return [round(i * step, digits) for i in range(first, max(last, first + 1) + 1)]
