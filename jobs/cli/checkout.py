"""The checkout that runs, and whether `distributed` is its own, as Dask has such a package too."""

from __future__ import annotations

from pathlib import Path

import distributed

ROOT = Path(__file__).resolve().parents[2]


def shadowing() -> str | None:
    """What to say if Python finds another package `distributed` (Dask has one) than this checkout's."""
    parent = Path(distributed.__file__ or ".").resolve().parent
    if parent == ROOT / "distributed":
        return None
    return (
        f"Python finds another package named distributed, in {parent}: run `pip uninstall distributed`, "
        f"or use idleak in an environment of its own, from {ROOT}"
    )
