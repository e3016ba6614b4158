"""The C library's allocator, told to keep what is freed."""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of mallopt(3)."""

LARGEST_MMAP_THRESHOLD = 32 << 20
KEPT_BYTES = 512 << 20


def keep_freed_memory() -> bool:
    """Have arrays of up to 32 MB reuse this process's memory, up to 512 MB of it; False where that cannot be.

    Otherwise glibc gives every array of more than 128 kB back to the system once it is freed, and the next
    one costs a page fault for every 4 kB: a third of the time of a small network on a CPU.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    wanted = ((MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD), (TRIM_THRESHOLD, KEPT_BYTES))
    return all(mallopt(name, value) == 1 for name, value in wanted)
