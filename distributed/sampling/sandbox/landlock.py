"""Landlock: a Linux process gives up the file system, for itself and all that it starts.

The numbers are those of the kernel's `linux/landlock.h`, the same on every architecture. Only the standard
library: a process confines itself before it imports anything.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
ASK_VERSION, PATH_BENEATH, NO_NEW_PRIVILEGES = 1, 1, 38
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
TRUNCATE, IOCTL = 1 << 14, 1 << 15
FIRST_RIGHTS = (1 << 13) - 1
LATER_RIGHTS = {2: 1 << 13, 3: TRUNCATE, 5: IOCTL}
"""Rights that were added, by the version that knows them."""
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL
READING = EXECUTE | READ_FILE | READ_DIR
SCOPES, SCOPED_SINCE = 3, 6
"""No signals to processes outside, no connections to their abstract sockets."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def landlock_version() -> int:
    """The version of the kernel's interface; 0 if it has none, or this is no Linux."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, _call(CREATE_RULESET, None, ctypes.c_size_t(0), ASK_VERSION))


def confine(readable: Iterable[Path], writable: Iterable[Path], devices: Iterable[Path] = ()) -> bool:
    """Leave this process nothing but these files, and what lies below these folders.

    Must be called while it has a single thread. Names, sizes and modes of other files can still be asked for,
    and sockets that have a name in the file system be connected to. What is not there is passed over. False
    if the system has no Landlock. Raises OSError if it has one, and it fails.
    """
    version = landlock_version()
    if version == 0:
        return False
    rights = FIRST_RIGHTS | sum(
        later_right for since, later_right in LATER_RIGHTS.items() if since <= version
    )
    asked = _Ruleset(rights, 0, SCOPES if version >= SCOPED_SINCE else 0)
    ruleset = _checked(_call(CREATE_RULESET, ctypes.byref(asked), ctypes.c_size_t(ctypes.sizeof(asked)), 0))
    using = READ_FILE | READ_DIR | WRITE_FILE | IOCTL
    for places, wanted in ((readable, READING), (writable, rights), (devices, using)):
        for place in places:
            _allow(ruleset, place, wanted & rights)
    _checked(_libc().prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    _checked(_call(RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)
    return True


def _allow(ruleset: int, place: Path, rights: int) -> None:
    try:
        there = os.open(place, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        allowed = rights if place.is_dir() else rights & OF_FILES
        rule = _Beneath(allowed, there)
        _checked(_call(ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(rule), 0))
    finally:
        os.close(there)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: object) -> int:
    return int(_libc().syscall(ctypes.c_long(number), *arguments))


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"Landlock: {os.strerror(ctypes.get_errno())}")
    return result
