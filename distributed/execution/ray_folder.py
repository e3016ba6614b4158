"""Where a Ray of our own keeps its sockets, logs and spilled objects: a private folder that goes with it.

Not in the run's folder: that may be a bucket or a network file system, and the path of a socket may have no
more than 107 letters.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import psutil

from schemas.errors import SpecError

PREFIX = "idleak-ray"
MOST_LETTERS = 107
RANDOM_LETTERS = 8
SOCKET = "/session_2026-01-01_00-00-00_000000_{pid}/sockets/plasma_store"


def make_ray_folder() -> Path:
    """A new folder that nobody else can read; those of our processes that were killed are deleted.

    Raises SpecError where none can be made, or none of a path that is short enough.
    """
    root = ray_root()
    _sweep(root)
    prefix = f"{PREFIX}-{os.getuid()}-{os.getpid()}-"
    socket = len(SOCKET.format(pid=os.getpid()))
    if len(os.fsencode(root / prefix)) + RANDOM_LETTERS + socket > MOST_LETTERS:
        raise SpecError(f"{root} is too long a path for Ray's sockets: set RAY_TMPDIR to a shorter one")
    try:
        return Path(tempfile.mkdtemp(prefix=prefix, dir=root))
    except OSError as error:
        raise SpecError(
            f"cannot make Ray's folder in {root}: {error.strerror}; set RAY_TMPDIR to one that can be written"
        ) from error


def drop_ray_folder(folder: Path) -> None:
    """Delete it; what Ray's last processes still write there is swept at the next start."""
    shutil.rmtree(folder, ignore_errors=True)


def ray_root() -> Path:
    """RAY_TMPDIR, else the system's folder with the shortest path."""
    shortest = Path("/tmp")
    return Path(os.environ.get("RAY_TMPDIR") or (shortest if shortest.is_dir() else tempfile.gettempdir()))


def _sweep(root: Path) -> None:
    for folder in root.glob(f"{PREFIX}-{os.getuid()}-*"):
        pid = folder.name.split("-")[3]
        if pid.isdigit() and not psutil.pid_exists(int(pid)) and not folder.is_symlink():
            drop_ray_folder(folder)
