"""What idleak says on stderr: lines for people, or, with IDLEAK_LOG=json, one JSON object a line.

Lines name no identity and no photo; the error that ends a job may, and is told apart from them.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from schemas.errors import UsageError
from schemas.printable import printable

LOG = logging.getLogger("idleak")
VARIABLE = "IDLEAK_LOG"
LOGGERS = ("idleak", "distributed", "jobs")


def configure_log() -> None:
    """Take the form that IDLEAK_LOG asks for. Raises UsageError if there is no such form."""
    form = os.environ.get(VARIABLE) or "text"
    if form not in ("text", "json"):
        raise UsageError(f"{VARIABLE}={form}: set it to text or json")
    handler = _Stderr()
    handler.setFormatter(_Json() if form == "json" else _Text())
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.DEBUG if form == "json" else logging.INFO)


def is_json() -> bool:
    """Whether stderr is for machines."""
    return os.environ.get(VARIABLE) == "json"


def tell(event: str, text: str, level: int = logging.INFO, /, **fields: Any) -> None:
    """Say `text` to people; to machines `event` and its fields. DEBUG is for machines alone."""
    LOG.log(level, text, extra={"event": event, "fields": fields})


def tell_end(code: int, error: str = "") -> None:
    """Tell machines how a job ends: its exit code, and the kind of the error that ended it."""
    if is_json():
        level = logging.ERROR if error else logging.INFO
        text = f"ended with exit code {int(code)}" + (f" ({error})" if error else "")
        tell("end", text, level, exit_code=int(code), error=error)


class _Stderr(logging.StreamHandler[TextIO]):
    """Whatever stderr is at the time."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        """Nothing to keep."""


class _Text(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:
        return printable(super().formatMessage(record))


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", record.name),
            "message": record.getMessage(),
        }
        return json.dumps(entry | getattr(record, "fields", {}))
