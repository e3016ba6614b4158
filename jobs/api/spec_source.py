"""The spec that a caller gives: a file, its keys, or a value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schemas.spec.audit import AuditSpec
from schemas.spec.load import load_spec, parse_spec
from schemas.spec.locations import absolute

SpecSource = str | os.PathLike[str] | Mapping[str, Any] | AuditSpec
"""The path of a YAML file, or what such a file holds as a mapping, or a spec.

Paths in a file are relative to its folder, all others to the current one.
"""


def spec_of(source: SpecSource) -> AuditSpec:
    """The spec with absolute paths. Raises SpecError, one line for all bad fields."""
    if isinstance(source, AuditSpec):
        return absolute(source, Path.cwd()).written_as(source)
    if isinstance(source, Mapping):
        return parse_spec(source, "the spec", Path.cwd())
    return load_spec(Path(source))
