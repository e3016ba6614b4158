"""What jobs print: lines that may quote names, files and programs of others."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from schemas.errors import UsageError
from schemas.printable import printable

if TYPE_CHECKING:
    from distributed.gallery.people.listing import Notice

DETAILS_SHOWN = 20
UNNAMED = "`idleak enroll SPEC --reveal` names them"


def say(*lines: str) -> None:
    """Print each to stdout, as one line whatever it quotes."""
    for line in lines:
        print(printable(line))


def say_next(step: str, *, beside_data: bool = False) -> None:
    """What to do after a command that went well.

    beside_data: stdout is what was asked for, to be kept or piped. Then stderr tells it, to a person at a
    terminal alone.
    """
    if not beside_data:
        say(f"Next: {step}")
    elif sys.stdout.isatty():
        print_error(f"Next: {step}")


def print_error(line: str) -> None:
    """Print to stderr, as one line."""
    print(printable(line), file=sys.stderr)


def ask(question: str, unattended: str) -> bool:
    """Whether the person at the terminal answers yes; anything else is no.

    Raises UsageError where nobody is at one, which says `unattended`: what to do then.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(unattended)
    sys.stderr.write(f"{printable(question)} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def cell(text: str, style: str = "") -> Text:
    """For a table of rich: neither markup nor emoji codes nor control characters in it count."""
    return Text(printable(text), style=style)


def notice_lines(notices: Sequence[Notice], *, named: bool) -> list[str]:
    """A line for each notice; `named`: below each what it is about, which may name people."""
    return [line for notice in notices for line in _lines(notice, named=named)]


def _lines(notice: Notice, *, named: bool) -> Iterator[str]:
    mark = "warning" if notice.warns else "note"
    hint = f"; {UNNAMED}" if notice.details and not named else ""
    yield f"{mark}: {notice.text}{hint}"
    if named:
        yield from (f"  {detail}" for detail in notice.details[:DETAILS_SHOWN])
        if len(notice.details) > DETAILS_SHOWN:
            yield f"  and {len(notice.details) - DETAILS_SHOWN:,} more"
