"""How names and numbers are shown to a reader."""

from __future__ import annotations

import re
from collections.abc import Callable

from schemas.printable import printable
from schemas.run.results import Interval, PopulationResult

Shown = Callable[[str], str]
"""An identity, or a photo, as stored -> as shown."""

PSEUDONYM = re.compile(r"[0-9a-f]{32}")
PSEUDONYM_SHOWN = 12
PERCENT = "\u00a0%"
"""No line ends before it."""


def plain(text: str) -> str:
    """For a terminal."""
    return text.replace(PERCENT, " %")


def as_stored(identity: str) -> str:
    return identity


def displayed(shown: Shown) -> Shown:
    """`shown`, made fit for a page."""
    return lambda identity: short(shown(identity))


def short(name: str) -> str:
    """A name with what cannot be seen written out; the beginning of a pseudonym."""
    return printable(name[:PSEUDONYM_SHOWN] if PSEUDONYM.fullmatch(name) else name)


def with_names(text: str, shown: Shown) -> str:
    """The text with each pseudonym in it as `shown` shows it."""
    return re.sub(r"\b[0-9a-f]{32}\b", lambda found: shown(found[0]), text)


def sentence(text: str) -> str:
    """A reason, as a sentence for a page."""
    return f"{printable(text[:1].upper() + text[1:])}."


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


def effective_number(value: float) -> str:
    """A number that need not be whole."""
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"


def people_made(found: PopulationResult) -> str:
    """How many people a generator makes, with an interval where matches tell people apart."""
    number = (
        "more than can be counted" if found.estimate is None else f"about {effective_number(found.estimate)}"
    )
    told = (
        f"the generator makes {number} of what {found.recognizer} takes for different people, counted as if "
        "each were made equally often"
    )
    if found.low is not None:
        high = "no upper bound" if found.high is None else effective_number(found.high)
        return f"{told} (95{PERCENT}: {effective_number(found.low)} to {high}, if samples match as photos do)"
    assert found.closure is not None and found.least_closure is not None, "else there is an interval"
    return (
        f"{told}; no interval is given, as matches do not tell people apart: of two samples that match a "
        f"third, {share(found.closure)} match each other, where of people at least "
        f"{share(found.least_closure)} would"
    )
