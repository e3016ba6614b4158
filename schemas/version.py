"""Which idleak this is."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PROJECT_FILE = Path(__file__).resolve().parents[1] / "pyproject.toml"


def idleak_version() -> str:
    """By the sources' own pyproject.toml; where that is missing, as on a cluster, by what is installed.

    An installation may be of another checkout than the one that runs.
    """
    if PROJECT_FILE.is_file():
        return str(tomllib.loads(PROJECT_FILE.read_text(encoding="utf-8"))["project"]["version"])
    try:
        return version("idleak")
    except PackageNotFoundError:
        return "of unknown version"


def is_later(other: str, than: str) -> bool:
    """Whether one version of idleak came after another; False if one of them is unknown."""
    numbers = [[int(part) for part in re.findall(r"\d+", text)] for text in (other, than)]
    return all(numbers) and numbers[0] > numbers[1]
