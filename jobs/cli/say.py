"""What jobs print: lines that may quote names, files and programs of others."""

from __future__ import annotations

import sys

from rich.text import Text

from schemas.printable import printable


def say(*lines: str) -> None:
    """Print each to stdout, as one line whatever it quotes."""
    for line in lines:
        print(printable(line))


def print_error(line: str) -> None:
    """Print to stderr, as one line."""
    print(printable(line), file=sys.stderr)


def cell(text: str, style: str = "") -> Text:
    """For a table of rich: neither markup nor emoji codes nor control characters in it count."""
    return Text(printable(text), style=style)
