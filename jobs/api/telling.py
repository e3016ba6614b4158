"""How a caller hears of what goes on: line by line, by a function of theirs; without one, not at all."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from distributed.execution.stopping import stop_signals_handled
from jobs.cli.exit_codes import system_errors_named
from jobs.cli.log import LOGGERS
from schemas.printable import printable

Tell = Callable[[str], object]
"""Takes a line, such as `print`. Lines name nobody by more than a pseudonym."""


@contextmanager
def at_work(tell: Tell | None) -> Iterator[Tell]:
    """What an audit or a plan runs in: what is logged goes to `tell` too; what `tell` is given is one line.

    At the end signal handlers and loggers are as they were. SIGTERM and SIGHUP let the shards under way end
    meanwhile, if this is the main thread, and StoppedError is raised.
    """
    # Without a handler, Python would print the warnings of loggers to stderr.
    logged = _handled_by(logging.NullHandler()) if tell is None else _handled_by(_Lines(tell), logging.INFO)
    with logged, _without_advice(), stop_signals_handled(), system_errors_named():
        yield lambda line: None if tell is None else tell(printable(line))


@contextmanager
def _without_advice() -> Iterator[None]:
    """Ray and tqdm advise notebooks to install ipywidgets as they are imported; nothing here shows any."""
    widgets = logging.getLogger("ray.widgets.util")
    before = widgets.level
    widgets.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")
        try:
            yield
        finally:
            widgets.setLevel(before)


@contextmanager
def _handled_by(handler: logging.Handler, level: int | None = None) -> Iterator[None]:
    """Our loggers with one more handler. level: the least that they pass on, if they would pass less."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        if level is not None and logger.getEffectiveLevel() > level:
            logger.setLevel(level)
    try:
        yield
    finally:
        for logger, before in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(before)


class _Lines(logging.Handler):
    def __init__(self, tell: Tell) -> None:
        super().__init__(logging.INFO)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(printable(record.getMessage()))
