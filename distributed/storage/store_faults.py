"""Which faults of a folder or a bucket somebody has to fix, and which may pass by themselves."""

from __future__ import annotations

import errno
import re

from obstore.exceptions import (
    InvalidPathError,
    NotSupportedError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnknownConfigurationKeyError,
)

from schemas.errors import StoreError, UnusableStoreError

ADVICE = {
    errno.EEXIST: "it is a file: give a folder",
    errno.ENOTDIR: "it lies in what is a file: give a folder",
    errno.EISDIR: "it is a folder, where a file of the run should be: move it elsewhere",
    errno.ENOENT: "check that it exists and that you may read and write there",
    errno.EACCES: "check that it exists and that you may read and write there",
    errno.EPERM: "check that it exists and that you may read and write there",
    errno.EROFS: "give a folder that can be written",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ELOOP: "its symbolic links lead in a circle: remove one",
}
"""What lasts until somebody fixes it -> how. All others may pass: a full disk, a timeout."""

REFUSALS = (
    InvalidPathError,
    NotSupportedError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnknownConfigurationKeyError,
)
NUMBER = re.compile(r"\(os error (\d+)\)")
STATUS = re.compile(r"non-2xx status code: (?:401|403|404)\b")


def store_error(verb: str, location: str, error: Exception, *more: str) -> StoreError:
    """`cannot <verb> <location>`, why, and what to do; UnusableStoreError if it will not pass by itself."""
    reason = str(error).split("\n")[0]
    number = error_number(error)
    advice = ADVICE.get(number, ADVICE[errno.ENOENT])
    text = "; ".join([f"cannot {verb} {location}: {reason}", advice, *more])
    lasts = number in ADVICE or isinstance(error, REFUSALS) or STATUS.search(reason) is not None
    return UnusableStoreError(text) if lasts else StoreError(text)


def error_number(error: Exception) -> int:
    """The errno of an error of Python's, or of one of obstore's, which has it in its text alone; else 0."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    named = NUMBER.search(str(error).split("\n")[0])
    return int(named[1]) if named else 0
