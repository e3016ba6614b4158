"""The fingerprint of an audit's verdicts."""

from __future__ import annotations

from pathlib import Path

from distributed.runtime.digests import digest_file
from distributed.stages.fingerprints import ALGORITHM_VERSION, sampling_fingerprint
from distributed.stages.reference import read_reference
from schemas.fingerprint import Fingerprint
from schemas.run.overlap import OVERLAP_VERSION
from schemas.spec.audit import AuditSpec

VERDICT_VERSION = "2"
"""Raised by every change of our own code that changes a verdict, of the same shards and gallery."""


def verdict_fingerprint(spec: AuditSpec, gallery: Fingerprint) -> Fingerprint:
    """Everything that a verdict depends on, and the labels that its evaluation does. gallery: its own.

    Who of the cohort is left out follows from the gallery, the spec and OVERLAP_VERSION."""
    membership = spec.membership.model_dump(exclude={"reference"})
    reference = "none" if spec.membership.reference is None else read_reference(spec).model_dump_json()
    labels, attributes = spec.gallery.labels, spec.gallery.attributes
    return Fingerprint(
        {
            "samples.sha256": sampling_fingerprint(spec).digest,
            "gallery.sha256": gallery.digest,
            "samples": str(spec.samples),
            **{f"membership.{name}": repr(value) for name, value in membership.items()},
            "membership.reference": reference,
            "labels.sha256": digest_file(Path(labels)) if labels else "none",
            "attributes.sha256": digest_file(Path(attributes)) if attributes else "none",
            "version.algorithm": ALGORITHM_VERSION,
            "version.overlap": OVERLAP_VERSION,
            "version.verdict": VERDICT_VERSION,
        }
    )
