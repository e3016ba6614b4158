"""Text that others wrote, made fit for a line on a terminal."""

from __future__ import annotations

LONGEST = 2_000
TAIL = 400


def printable(text: str) -> str:
    """The text with everything escaped that could act on a terminal or change how a line reads.

    Control and format characters (bidirectional marks among them), line ends, lone surrogates (which stand
    for bytes of a file name that are not UTF-8), and spaces other than the common one.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def printable_lines(text: str) -> str:
    """The same of text that has lines."""
    return "\n".join(printable(line) for line in text.split("\n"))


def shortened(text: str, longest: int = LONGEST) -> str:
    """The text, or its beginning and its end, where it is longer than `longest` characters."""
    if len(text) <= longest:
        return text
    tail = min(TAIL, longest // 4)
    return f"{text[: longest - tail - 1]}…{text[-tail:]}"
