"""The fingerprints of a run's samples and of its verdicts."""

from __future__ import annotations

from pathlib import Path

from distributed.embedding.fingerprint import faces_fields
from distributed.gallery.attributes import digest_attributes
from distributed.runtime.digests import digest_file
from distributed.runtime.versions import ALGORITHM_VERSION, VERDICT_VERSION, version_fields
from distributed.sampling.adapters import generator_fields
from distributed.stages.reference import placebo_spec, read_reference
from schemas.fingerprint import Fingerprint
from schemas.run.overlap import OVERLAP_VERSION
from schemas.spec.audit import AuditSpec


def sampling_fingerprint(spec: AuditSpec) -> Fingerprint:
    """Everything that changes a byte of `samples/`. Raises ModelError or SpecError for missing files."""
    fields = {"seed": str(spec.seed), "shard_size": str(spec.samples_per_shard)}
    fields |= generator_fields(spec.generator)
    search = "all" if spec.faces.detector is None else spec.faces.detector.search
    has_images, landmarks = spec.generator.has_images, spec.faces.landmarks
    fields |= faces_fields(spec.faces, detector=has_images and landmarks is None, search=search)
    if has_images and landmarks is not None:
        fields["faces.landmarks"] = repr(spec.faces.landmarks)
    return Fingerprint(fields | version_fields())


def verdict_fingerprint(spec: AuditSpec, gallery: Fingerprint) -> Fingerprint:
    """Everything that a verdict depends on, and the labels that its evaluation does. gallery: its own.

    Who of the cohort is left out follows from the gallery, the spec and OVERLAP_VERSION."""
    membership = spec.membership.model_dump(exclude={"reference", "placebo"})
    placebo = placebo_spec(spec)
    reference = "none" if spec.membership.reference is None else read_reference(spec).model_dump_json()
    labels, attributes = spec.gallery.labels, spec.gallery.attributes
    listed = digest_attributes(spec)
    return Fingerprint(
        {
            "samples.sha256": sampling_fingerprint(spec).digest,
            "gallery.sha256": gallery.digest,
            "samples": str(spec.samples),
            **{f"membership.{name}": repr(value) for name, value in membership.items()},
            "membership.reference": reference,
            **({} if placebo is None else {"placebo.sha256": sampling_fingerprint(placebo).digest}),
            "labels.sha256": digest_file(Path(labels)) if labels else "none",
            "attributes.sha256": digest_file(Path(attributes)) if attributes else "none",
            **({} if listed is None else {"attributes.listed": listed}),
            "version.algorithm": ALGORITHM_VERSION,
            "version.overlap": OVERLAP_VERSION,
            "version.verdict": VERDICT_VERSION,
        }
    )
