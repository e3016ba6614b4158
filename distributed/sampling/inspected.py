"""What was found out about a model file or folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distributed.runtime.digests import digest_file

ONNX = "an ONNX file"


@dataclass(frozen=True)
class Inspection:
    """What was found. facts: pairs to print. risks: what it would import or run. block: for the spec."""

    what: str
    is_code: bool
    digest: str
    facts: Sequence[tuple[str, str]] = ()
    risks: Sequence[str] = ()
    block: Mapping[str, Any] | None = None
    decide: Sequence[str] = field(default_factory=tuple)


def of_file(path: Path) -> str:
    """The file's digest, as `generator.trust` wants it."""
    return f"sha256:{digest_file(path)}"


def shape_text(shape: Iterable[object]) -> str:
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"
