"""JSON Schemas of the files that other programs read: docs/schemas/ has them as they are now."""

from __future__ import annotations

import json
from typing import Any

from schemas.frozen import Record
from schemas.run.comparison import COMPARISON_VERSION, ComparisonResult
from schemas.run.nights import RECORD_VERSION, FleetReport
from schemas.run.results import RESULTS_VERSION, AuditResults

DIALECT = "https://json-schema.org/draft/2020-12/schema"
DESCRIBED: dict[str, tuple[type[Record], int]] = {
    "results": (AuditResults, RESULTS_VERSION),
    "nightly": (FleetReport, RECORD_VERSION),
    "comparison": (ComparisonResult, COMPARISON_VERSION),
}
"""Stem of the file's name -> its model and version."""


def json_schema(name: str) -> str:
    """The schema of NAME.json as it is written, as JSON text. name: a key of `DESCRIBED`."""
    model, version = DESCRIBED[name]
    head: dict[str, Any] = {"$schema": DIALECT, "$id": f"urn:idleak:schema:{name}:{version}"}
    return json.dumps(head | model.model_json_schema(mode="serialization"), indent=2) + "\n"
