"""Refusals of the system that no stage has expected, as one line that names the file."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from distributed.storage.store_faults import store_error
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


@contextmanager
def os_errors_told() -> Iterator[None]:
    """Raise StoreError, or SpecError, in place of them; all others stay as they are, with their traceback."""
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
