"""How counts, shares and times are written, in messages and on pages."""

from __future__ import annotations

from collections.abc import Mapping

PERCENT = "\u00a0%"
"""No line ends before it."""


def plain(text: str) -> str:
    """For a terminal."""
    return text.replace(PERCENT, " %")


def people(count: int) -> str:
    return f"{count:,} {'person' if count == 1 else 'people'}"


def probability(value: float) -> str:
    """A p- or q-value, two digits that matter."""
    return f"{value:.2g}"


def share(value: float) -> str:
    """A share in per cent, exact enough that 1 in 10,000 does not become none, or all."""
    percent = 100 * value
    if value in (0.0, 1.0) or 1 <= percent <= 99:
        return f"{percent:.3g}{PERCENT}"
    return f"{percent:.2g}{PERCENT}" if percent < 1 else f"{percent:.5g}{PERCENT}"


def rate(value: float) -> str:
    """Hits per million."""
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.2g}"


def format_seconds(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `5 h 12 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def format_shares(seconds: Mapping[str, float], most: int | None = None) -> str:
    """`generate 61%, embed 30%`: the largest first, at most `most` of them."""
    total = sum(seconds.values()) or 1.0
    ordered = sorted(seconds.items(), key=lambda item: -item[1])[:most]
    return ", ".join(f"{name} {spent / total:.0%}" for name, spent in ordered)
