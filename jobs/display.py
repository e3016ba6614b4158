"""How names and numbers are shown to a reader."""

from __future__ import annotations

import re
from collections.abc import Callable

from schemas.printable import printable
from schemas.results import Interval

Shown = Callable[[str], str]
"""An identity, or a photo, as stored -> as shown."""

PSEUDONYM = re.compile(r"[0-9a-f]{32}")
PSEUDONYM_SHOWN = 12
PERCENT = "\u00a0%"
"""No line ends before it."""


def as_stored(identity: str) -> str:
    return identity


def displayed(shown: Shown) -> Shown:
    """`shown`, made fit for a page."""
    return lambda identity: short(shown(identity))


def short(name: str) -> str:
    """A name with what cannot be seen written out; the beginning of a pseudonym."""
    return printable(name[:PSEUDONYM_SHOWN] if PSEUDONYM.fullmatch(name) else name)


def with_short_pseudonyms(text: str) -> str:
    """The text with the beginning of each pseudonym in it."""
    return with_names(text, short)


def with_names(text: str, shown: Shown) -> str:
    """The text with each pseudonym in it as `shown` shows it."""
    return re.sub(r"\b[0-9a-f]{32}\b", lambda found: shown(found[0]), text)


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


def between(one: Interval, show: Callable[[float], str]) -> str:
    """`value (low to high)`."""
    return f"{show(one.value)} ({show(one.low)} to {show(one.high)})"
