"""How counts, shares and times are written, in messages and on pages."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, floor, log10

PERCENT = "\u00a0%"
"""No line ends before it."""

REFUSED = {
    "no_face": "without a face",
    "several_faces": "with several faces",
    "invalid_image": "not readable as images",
    "too_large": "with too many pixels",
}
"""Of photos, as a part of a sentence."""


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


def per_million(share: float) -> str:
    """A share as so many of a million, three digits, rounded up: of so many, what is said is true."""
    digits = 2 - floor(log10(share * 1e6))
    scaled = ceil(round(share * 1e6 * 10**digits, 6)) / 10**digits
    return f"{scaled:,.0f}" if scaled >= 100 else f"{scaled:.3g}"


def refused_text(outcome: str, count: int) -> str:
    """So many photos that gave no template. outcome: a value of `schemas.run.tables.Outcome`."""
    return f"{count:,} {REFUSED.get(outcome, outcome.replace('_', ' '))}"


def silence_text(share: float, chance: float, likeness: float | None, source: str | None) -> str:
    """What `not detected` says, with the share that it names. likeness: None in runs of version 0.1."""
    verdict = "" if likeness is None else "not found; "
    return f"{verdict}{noticed_text(share, chance, likeness)}, {likeness_text(likeness, source)}"


def noticed_text(share: float, chance: float, likeness: float | None) -> str:
    """The same without what it holds for."""
    if likeness is None:
        return (
            f"had this person been in {per_million(share)} or more of a million compared samples, the "
            f"estimated chance to flag them was {100 * chance:g} % or more"
        )
    return (
        f"a person in {per_million(share)} or more of a million compared samples would have been "
        f"flagged with an estimated chance of {100 * chance:g} %"
    )


def likeness_text(likeness: float | None, source: str | None) -> str:
    """Of which samples a chance holds. source: `planted.likeness.Source`. Both None: a run of version 0.1."""
    if likeness is None or source is None:
        return "by the score max and if samples resemble people as their photos do"
    origin = {
        "spec": "as the spec assumes",
        "measured": "as samples of the flagged do",
        "assumed": "which is assumed, as too few are flagged to measure it",
    }[source]
    return f"if samples show at least {100 * likeness:.0f} % of what a photo shows of a person, {origin}"
