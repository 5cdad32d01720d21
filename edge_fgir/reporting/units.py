"""Numbers as people read them."""

from __future__ import annotations

_MB = 1e6


def percent(value: float) -> str:
    """Return a percentage with one decimal."""
    return f"{value:.1f} %"


def points(value: float) -> str:
    """Return a signed difference of percentages; zero has no sign."""
    text = f"{abs(value):.1f}"
    sign = "+" if value > 0 else "\N{MINUS SIGN}"
    return text if float(text) == 0 else sign + text


def milliseconds(value: float) -> str:
    """Return three significant digits."""
    decimals = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:,.{decimals}f}"


def megabytes(size: int) -> str:
    """Return a number of bytes in MB of a million."""
    return f"{size / _MB:.1f} MB"


def times(value: float) -> str:
    """Return a ratio."""
    return f"{value:.1f} \N{MULTIPLICATION SIGN}"


def duration(seconds: float) -> str:
    """Return minutes, or seconds where it was short."""
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"
