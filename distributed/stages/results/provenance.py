"""What an audit was made from and with, for `results.json`."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from typing import Any

from distributed.embedding.licences import UNKNOWN, licences
from distributed.runtime.versions import package_version
from distributed.stages.fingerprints import sampling_fingerprint
from distributed.stages.results.facts import AuditFacts
from distributed.storage.authorisation import overrides
from distributed.storage.store import RunStore
from schemas.spec.audit import AuditSpec
from schemas.spec.protection import AuthorisationSpec
from schemas.version import idleak_version

PACKAGES = (
    "faiss-cpu",
    "numpy",
    "obstore",
    "onnxruntime",
    "pyarrow",
    "pydantic",
    "ray",
    "scikit-image",
    "scikit-learn",
    "scipy",
    "torch",
)


def provenance(facts: AuditFacts, store: RunStore) -> dict[str, Any]:
    """Fields of `AuditResults`: the spec and its fingerprints, who allowed it, and what it ran on."""
    stages = {f"shards.{stage}": spent for stage, spent in facts.made.seconds.items()}
    spec, gallery, fingerprint = facts.spec, facts.enrolment.fingerprint, sampling_fingerprint(facts.spec)
    return {
        "name": spec.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "spec": spec.model_dump(mode="json"),
        "paths_as_written": spec.locations_as_written,
        "fingerprint": dict(fingerprint.fields),
        "fingerprint_sha256": fingerprint.digest,
        "gallery_fingerprint": dict(gallery.fields),
        "gallery_fingerprint_sha256": gallery.digest,
        "authorisation": None if spec.authorisation is None else _texts(spec.authorisation),
        "overrides": overrides(store),
        "licenses": _licenses(spec),
        "versions": versions(),
        "machine": machine(),
        "seconds": dict(facts.seconds) | stages,
    }


def _texts(authorisation: AuthorisationSpec) -> dict[str, str]:
    return {
        name: str(value) for name, value in authorisation.model_dump(mode="json", exclude_none=True).items()
    }


def _licenses(spec: AuditSpec) -> dict[str, str]:
    models = {model: terms.text for model, terms in licences(spec.faces).items()}
    return {"generator": spec.generator.license or UNKNOWN} | models


def versions() -> dict[str, str]:
    """Version of idleak, of Python and of every package that the numbers pass through."""
    return {"idleak": idleak_version(), "python": platform.python_version()} | {
        name: package_version(name) for name in PACKAGES
    }


def machine() -> dict[str, str]:
    """What the driver ran on; no names of hosts or people."""
    return {"system": platform.system(), "machine": platform.machine(), "cpus": str(os.cpu_count())}
