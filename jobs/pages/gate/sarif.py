"""A gate as SARIF 2.1.0, as GitHub's code scanning reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jobs.pages.gate.gate import Finding, Gate, Judged
from schemas.version import idleak_version

SARIF_VERSION = "2.1.0"
SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
RULES = {
    Finding.LEAKED: "A person is leaked: the samples fit the person better than they fit the cohort.",
    Finding.OVER_REPRESENTED: "A person is hit by more samples than the spread of the cohort explains.",
    Finding.INCONCLUSIVE: "A person could not have been flagged, whatever the samples show: not cleared.",
}
FINGERPRINT = "idleakFinding/v1"


def sarif_json(gate: Gate, spec: Path) -> bytes:
    """One result a finding, of the spec's file, with the person's pseudonym.

    What `--fail-on` names is an error, other leaks are warnings. Who is inconclusive is there only if
    `--fail-on` names it: these may be all candidates.
    """
    results = [result for person in gate.people for result in _results(gate, person, _uri(spec))]
    driver = {
        "name": "idleak",
        "version": idleak_version(),
        "rules": [_rule(*rule) for rule in RULES.items()],
    }
    log = {
        "$schema": SARIF_SCHEMA,
        "version": SARIF_VERSION,
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    }
    return (json.dumps(log, indent=2) + "\n").encode()


def _rule(finding: Finding, text: str) -> dict[str, Any]:
    return {"id": finding, "shortDescription": {"text": text}, "fullDescription": {"text": text}}


def _results(gate: Gate, person: Judged, uri: str) -> Iterator[dict[str, Any]]:
    for finding, text in person.findings.items():
        fails = finding in person.failures
        if not fails and finding == Finding.INCONCLUSIVE:
            continue
        place = {"artifactLocation": {"uri": uri}, "region": {"startLine": 1}}
        yield {
            "ruleId": finding,
            "ruleIndex": list(RULES).index(finding),
            "level": "error" if fails else "warning",
            "message": {"text": f"{person.identity} {text}"},
            "locations": [{"physicalLocation": place}],
            "partialFingerprints": {FINGERPRINT: f"{gate.run.results.name}/{finding}/{person.identity}"},
        }


def _uri(spec: Path) -> str:
    """Relative to where the job runs, which is the checkout: no path of a machine is in the file."""
    path, here = spec.resolve(), Path.cwd()
    return quote(path.relative_to(here).as_posix() if path.is_relative_to(here) else path.name)
