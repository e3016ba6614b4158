"""Loaded by every Python whose PYTHONPATH holds this folder: a real SIGKILL at a point of a commit.

IDLEAK_TEST_KILL: `<point> <file name>`; IDLEAK_TEST_MARK: a file that is made by the first kill, after which
there are no others; without it every process that comes to the point is killed.
"""

import os
import signal
import stat
from typing import Any

POINT, _, TARGET = os.environ.get("IDLEAK_TEST_KILL", "").partition(" ")
MARK = os.environ.get("IDLEAK_TEST_MARK")
_synced: list[str] = []
_fsync = os.fsync


def _kill(point: str) -> None:
    if point != POINT:
        return
    try:
        if MARK:
            os.close(os.open(MARK, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _watched(fd: Any) -> None:
    """In place of os.fsync: the file is synced before it gets its name, its folder after that."""
    name = os.readlink(f"/proc/self/fd/{fd}")
    is_folder = stat.S_ISDIR(os.fstat(fd).st_mode)
    concerns = bool(_synced) if is_folder else TARGET in name
    if concerns:
        _kill("before_folder_sync" if is_folder else "before_sync")
    _fsync(fd)
    if concerns:
        _kill("after_folder_sync" if is_folder else "after_sync")
    _synced[:] = [name] if concerns and not is_folder else []


if POINT:
    os.fsync = _watched
