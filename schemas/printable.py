"""Text that others wrote, made fit for a line on a terminal."""

from __future__ import annotations

from collections.abc import Mapping

LONGEST = 2_000
TAIL = 400


def printable(text: str) -> str:
    """The text with everything escaped that could act on a terminal or change how a line reads.

    Control and format characters (bidirectional marks among them), line ends, lone surrogates (which stand
    for bytes of a file name that are no UTF-8), and spaces other than the common one.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def printable_lines(text: str) -> str:
    """The same of text that has lines."""
    return "\n".join(printable(line) for line in text.split("\n"))


def shortened(text: str, longest: int = LONGEST) -> str:
    """The text, or its beginning and its end, where it is longer than `longest` characters."""
    if len(text) <= longest:
        return text
    tail = min(TAIL, longest // 4)
    return f"{text[: longest - tail - 1]}…{text[-tail:]}"


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
    ordered = sorted(seconds.items(), key=lambda one: -one[1])[:most]
    return ", ".join(f"{name} {spent / total:.0%}" for name, spent in ordered)
