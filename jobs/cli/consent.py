"""Ask before something is gone for good."""

from __future__ import annotations

import sys

from schemas.errors import UsageError
from schemas.printable import printable


def agreed(question: str) -> bool:
    """Whether the person at the terminal answers yes. Raises UsageError where nobody is at one."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "nothing was erased, as nobody is here to be asked: give --yes to erase without a question, or "
            "--dry-run to see what would go"
        )
    sys.stderr.write(f"{printable(question)} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
