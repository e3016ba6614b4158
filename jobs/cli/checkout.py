"""Which idleak this is: its version, and whether `distributed` is ours, as Dask has such a package too."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import distributed

ROOT = Path(__file__).resolve().parents[2]
PROJECT_FILE = ROOT / "pyproject.toml"


def idleak_version(project_file: Path = PROJECT_FILE) -> str:
    """By the sources' own pyproject.toml; where that is missing, as on a cluster, by what is installed.

    An installation may be of another checkout than the one that runs.
    """
    if project_file.is_file():
        return str(tomllib.loads(project_file.read_text(encoding="utf-8"))["project"]["version"])
    try:
        return version("idleak")
    except PackageNotFoundError:
        return "of unknown version"


def shadowing(root: Path = ROOT) -> str | None:
    """What to say if Python finds another package `distributed` (Dask has one) than the one in `root`."""
    parent = Path(distributed.__file__ or ".").resolve().parent
    if parent == root / "distributed":
        return None
    return (
        f"Python finds another package named distributed, in {parent}: run `pip uninstall distributed`, "
        f"or use idleak in an environment of its own, from {root}"
    )
