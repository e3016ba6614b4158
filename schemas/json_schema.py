"""JSON Schemas of what people write and of what other programs read: docs/schemas/ has them too."""

from __future__ import annotations

import json
from typing import Any, Literal

from schemas.frozen import Frozen
from schemas.run.comparison import COMPARISON_VERSION, ComparisonResult
from schemas.run.nights import RECORD_VERSION, FleetReport
from schemas.run.results import RESULTS_VERSION, AuditResults
from schemas.spec.audit import AuditSpec
from schemas.spec.fleet import FleetSpec

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SPEC_VERSION = FLEET_VERSION = 1
"""Raised by whatever refuses a spec, or a fleet, that was accepted before."""
SPEC, FLEET = "spec", "fleet"
WRITTEN_BY_PEOPLE = (SPEC, FLEET)
DESCRIBED: dict[str, tuple[type[Frozen], int]] = {
    SPEC: (AuditSpec, SPEC_VERSION),
    FLEET: (FleetSpec, FLEET_VERSION),
    "results": (AuditResults, RESULTS_VERSION),
    "nightly": (FleetReport, RECORD_VERSION),
    "comparison": (ComparisonResult, COMPARISON_VERSION),
}
"""Stem of the file's name, `spec` or `fleet` -> its model and version."""


def json_schema(name: str) -> str:
    """The schema of NAME.json as it is written, or of a spec or fleet as people write it, as JSON text.

    name: a key of `DESCRIBED`.
    """
    model, version = DESCRIBED[name]
    mode: Literal["validation", "serialization"]
    mode = "validation" if name in WRITTEN_BY_PEOPLE else "serialization"
    head: dict[str, Any] = {"$schema": DIALECT, "$id": f"urn:idleak:schema:{name}:{version}"}
    return json.dumps(head | model.model_json_schema(mode=mode), indent=2) + "\n"
