"""JSON Schemas of the spec and of files that other programs read: docs/schemas/ has them as they are now."""

from __future__ import annotations

import json
from typing import Any, Literal

from schemas.frozen import Frozen
from schemas.run.comparison import COMPARISON_VERSION, ComparisonResult
from schemas.run.nights import RECORD_VERSION, FleetReport
from schemas.run.results import RESULTS_VERSION, AuditResults
from schemas.spec.audit import AuditSpec

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SPEC_VERSION = 1
"""Raised by whatever refuses a spec that was accepted before."""
SPEC = "spec"
DESCRIBED: dict[str, tuple[type[Frozen], int]] = {
    SPEC: (AuditSpec, SPEC_VERSION),
    "results": (AuditResults, RESULTS_VERSION),
    "nightly": (FleetReport, RECORD_VERSION),
    "comparison": (ComparisonResult, COMPARISON_VERSION),
}
"""Stem of the file's name, or `spec` -> its model and version."""


def json_schema(name: str) -> str:
    """The schema of NAME.json as it is written, or of a spec as people write it, as JSON text.

    name: a key of `DESCRIBED`.
    """
    model, version = DESCRIBED[name]
    mode: Literal["validation", "serialization"] = "validation" if name == SPEC else "serialization"
    head: dict[str, Any] = {"$schema": DIALECT, "$id": f"urn:idleak:schema:{name}:{version}"}
    return json.dumps(head | model.model_json_schema(mode=mode), indent=2) + "\n"
