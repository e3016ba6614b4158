"""Which idleak this is."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PROJECT_FILE = Path(__file__).resolve().parents[2] / "pyproject.toml"


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
