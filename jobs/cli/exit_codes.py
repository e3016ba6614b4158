"""How a command ends: what its exit code says, and how an expected error becomes one line and a code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum

from distributed.execution.stopping import stop_signals_handled
from distributed.storage.store_faults import store_error
from jobs.cli.log import configure_log, tell_end
from jobs.cli.say import print_error
from schemas.errors import (
    DamagedError,
    IdleakError,
    InputError,
    LockedError,
    MissingFileError,
    ShardsLostError,
    StoppedError,
    StoreError,
    UnusableStoreError,
    WrongRunError,
)
from schemas.file_names import require_file_name

OF_THE_SYSTEM = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
)
"""What is no fault of the code: a file that is missing, or there already, may be one."""


class ExitCode(IntEnum):
    """0 success; 1 failed; 2 the spec or a folder cannot be used; 3 shards lost; 4 files missing or damaged;
    5 refused; 6 new findings; 75 stopped, or the store was out of reach: the same command goes on; 130 and
    141 as shells tell the ends by SIGINT and SIGPIPE."""

    OK = 0
    FAILED = 1
    BAD_SPEC = 2
    SHARDS_LOST = 3
    DAMAGED = 4
    REFUSED = 5
    NEW_FINDINGS = 6
    RETRY = 75
    INTERRUPTED = 130
    OUTPUT_CLOSED = 141


_CODES: list[tuple[type[IdleakError] | tuple[type[IdleakError], ...], ExitCode]] = [
    ((InputError, UnusableStoreError), ExitCode.BAD_SPEC),
    (ShardsLostError, ExitCode.SHARDS_LOST),
    ((DamagedError, MissingFileError), ExitCode.DAMAGED),
    ((WrongRunError, LockedError), ExitCode.REFUSED),
    ((StoppedError, StoreError), ExitCode.RETRY),
]


def code_of(error: IdleakError) -> ExitCode:
    """The exit code of an expected error."""
    return next((code for kinds, code in _CODES if isinstance(error, kinds)), ExitCode.FAILED)


class OutputLostError(BaseException):
    """stdout cannot be written any more.

    No Exception, as KeyboardInterrupt is none: nobody must take this for an OSError of another file.
    """

    def __init__(self, reason: OSError, is_closed: bool) -> None:
        super().__init__(str(reason))
        self._reason, self._is_closed = reason, is_closed

    @property
    def exit_code(self) -> ExitCode:
        """As a shell tells the end by SIGPIPE; a full disk is a failure."""
        return ExitCode.OUTPUT_CLOSED if self._is_closed else ExitCode.FAILED

    def tell(self) -> None:
        """Say it on stderr, unless a reader has just read enough."""
        if self.exit_code is not ExitCode.OUTPUT_CLOSED:
            print_error(f"idleak: cannot write to stdout: {self._reason.strerror}")


def guarded(run: Callable[[], ExitCode | int]) -> int:
    """Turn an expected error into one line on stderr, and into its exit code.

    A log for machines gets the kind of the error alone: its message may name a photo, and so a person.
    """
    try:
        configure_log()
        with stop_signals_handled(), system_errors_named():
            code = run()
        tell_end(code)
    except IdleakError as error:
        code = code_of(error)
        tell_end(code, type(error).__name__)
        print_error(f"idleak: {error}")
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
        tell_end(code, KeyboardInterrupt.__name__)
        print_error("idleak: interrupted; finished shards are kept, run the same command to go on")
    except OutputLostError as error:
        tell_end(error.exit_code, OutputLostError.__name__)
        raise
    return code


@contextmanager
def system_errors_named() -> Iterator[None]:
    """Raise StoreError, or SpecError, that names the file in place of what the system refused.

    All other errors stay as they are, with their traceback.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in OF_THE_SYSTEM or not isinstance(error.filename, str | bytes):
            raise
        raise store_error("use", os.fsdecode(error.filename), error) from error
    except UnicodeEncodeError as error:
        if error.encoding == sys.getfilesystemencoding():
            require_file_name(error.object)
        raise
