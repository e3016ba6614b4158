"""The fingerprints of a run's samples and of its verdicts."""

from __future__ import annotations

from pathlib import Path

from distributed.embedding.fingerprint import faces_fields, recognizer_fields
from distributed.gallery.attributes import digest_attributes
from distributed.membership.evidence import combined_score
from distributed.runtime.digests import digest_file
from distributed.runtime.versions import ALGORITHM_VERSION, VERDICT_VERSION, version_fields
from distributed.sampling.adapters import generator_fields
from distributed.stages.reference import read_reference
from distributed.storage.ledger import Pinned
from distributed.storage.store import RunStore
from schemas.fingerprint import Fingerprint
from schemas.run.overlap import OVERLAP_VERSION
from schemas.spec.audit import AuditSpec


def sampling_fingerprint(spec: AuditSpec) -> Fingerprint:
    """Everything that changes a byte of `samples/`. Raises ModelError or SpecError for missing files."""
    fields = {"seed": str(spec.seed), "shard_size": str(spec.shard_size)}
    fields |= generator_fields(spec.generator)
    search = "all" if spec.faces.detector is None else spec.faces.detector.search
    fields |= faces_fields(spec.faces, detector=spec.faces.landmarks is None, search=search)
    if spec.faces.landmarks is not None:
        fields["faces.landmarks"] = repr(spec.faces.landmarks)
    return Fingerprint(fields | version_fields())


def pinned_settings(spec: AuditSpec) -> Pinned:
    """What an audit must share with the other nights of its ledger: all that decides the headline's verdicts
    but the generator, how many samples, and the people."""
    membership = spec.membership.model_dump(exclude={"reference", "fdr", "scores"})
    settings = {f"membership.{name}": repr(value) for name, value in membership.items()}
    settings |= recognizer_fields(spec.faces) | {"version.verdict": VERDICT_VERSION}
    headline = f"{combined_score(spec.membership.scores)} of {spec.faces.recognizers[0].name}"
    return Pinned(spec.membership.fdr, headline, settings)


def require_same_ledger(spec: AuditSpec) -> None:
    """Raise WrongRunError, before the long work, if the spec's ledger was begun with other settings."""
    if spec.ledger is not None:
        pinned_settings(spec).ledger(RunStore(spec.ledger))


def verdict_fingerprint(spec: AuditSpec, gallery: Fingerprint) -> Fingerprint:
    """Everything that a verdict depends on, and the labels that its evaluation does. gallery: its own.

    Who of the cohort is left out follows from the gallery, the spec and OVERLAP_VERSION."""
    membership = spec.membership.model_dump(exclude={"reference"})
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
            "labels.sha256": digest_file(Path(labels)) if labels else "none",
            "attributes.sha256": digest_file(Path(attributes)) if attributes else "none",
            **({} if listed is None else {"attributes.listed": listed}),
            "version.algorithm": ALGORITHM_VERSION,
            "version.overlap": OVERLAP_VERSION,
            "version.verdict": VERDICT_VERSION,
        }
    )
