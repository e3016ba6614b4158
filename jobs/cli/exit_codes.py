"""What a job's exit code says."""

from __future__ import annotations

from enum import IntEnum

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
