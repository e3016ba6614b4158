"""stdout and stderr, which may be closed or full: a job then ends in good order, without a traceback.

stdout carries what was asked for: where it cannot be written, the job ends, as other programs do. stderr
carries progress and errors: where it cannot be written, the job goes on without, unless both are one closed
pipe.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from jobs.cli.exit_codes import OutputLostError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STDIN, STDOUT, STDERR = 0, 1, 2
CLOSED = (errno.EPIPE, errno.ECONNRESET)
"""Refusals of a pipe or socket that nobody reads."""
ESCAPE = "backslashreplace"
"""What a terminal has no sign for is escaped: it must end no job."""


class _Descriptor(io.FileIO):
    """The file of a standard stream. After the first write that fails everything is dropped.

    ends: whether that failure ends the job.
    """

    def __init__(self, number: int, ends: Callable[[OSError], bool]) -> None:
        super().__init__(number, "wb", closefd=False)
        self._ends = ends
        self._is_lost = False

    def write(self, data: ReadableBuffer) -> int:
        if self._is_lost:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except OSError as error:
            self._is_lost = True
            if self._ends(error):
                raise OutputLostError(error, _is_closed(self.fileno(), error)) from error
            return memoryview(data).nbytes


def with_output_watched(run: Callable[[], int]) -> int:
    """The exit code of a job, or of the loss of its output, all of which has been written by then."""
    _open_what_is_closed()
    _watch()
    try:
        try:
            return run()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
    except OutputLostError as lost:
        lost.tell()
        return lost.exit_code


def _open_what_is_closed() -> None:
    """A stream that was closed before the start becomes /dev/null: the next file to be opened would be it."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        os.set_inheritable(number, True)
    os.close(number)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(STDIN, closefd=False)))


def _watch() -> None:
    """Watch the process's own streams; those that a test has put in their places only learn to escape."""
    is_same = _is_one_file()
    for name, number, ends in (
        ("stdout", STDOUT, lambda error: True),
        ("stderr", STDERR, lambda error: is_same and error.errno in CLOSED),
    ):
        stream = getattr(sys, name)
        if stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, _watched(stream, _Descriptor(number, ends)))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ESCAPE)


def _watched(stream: io.TextIOWrapper | None, descriptor: _Descriptor) -> io.TextIOWrapper:
    """The same stream through `descriptor`, line by line: what an audit says first must not wait for its end.

    None: it was closed.
    """
    return io.TextIOWrapper(
        io.BufferedWriter(descriptor),
        encoding="utf-8" if stream is None else stream.encoding,
        errors=ESCAPE,
        line_buffering=True,
    )


def _is_closed(number: int, error: OSError) -> bool:
    """Whether a write was refused because nobody reads any more.

    A terminal that is closed refuses with EIO, as a broken disk does, before its SIGHUP arrives, which
    `nohup` keeps away altogether.
    """
    if error.errno == errno.EIO:
        return stat.S_ISCHR(os.fstat(number).st_mode)
    return error.errno in CLOSED


def _is_one_file() -> bool:
    """Whether stdout and stderr are one pipe or socket."""
    out, err = os.fstat(STDOUT), os.fstat(STDERR)
    is_pipe = stat.S_ISFIFO(out.st_mode) or stat.S_ISSOCK(out.st_mode)
    return is_pipe and (out.st_dev, out.st_ino) == (err.st_dev, err.st_ino)
