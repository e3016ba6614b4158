"""Whether an audit has been done already, determined without loading models."""

from __future__ import annotations

from distributed.gallery.source import gallery_source
from distributed.stages.fingerprints import verdict_fingerprint
from distributed.stages.reference import placebo_spec
from distributed.stages.samples import is_sampled
from distributed.storage.results_file import read_results
from distributed.storage.run_record import with_recorded_shards
from distributed.storage.store import RunStore, open_run
from schemas.run.artefacts import GALLERY_FILE, RESULTS_FILE
from schemas.spec.audit import AuditSpec


def is_finished(spec: AuditSpec, store: RunStore) -> bool:
    """True if the run's results are there and rest on just these samples, gallery and settings."""
    if not all(store.exists(path) for path in (RESULTS_FILE, GALLERY_FILE)):
        return False
    spec = with_recorded_shards(spec, store)
    results = read_results(store)
    if spec.ledger is not None and results.ledger is None:
        return False
    if any(recognizer.separation is None for recognizer in results.recognizers):
        return False
    gallery = gallery_source(spec, store).fingerprint
    if results.verdict_fingerprint_sha256 != verdict_fingerprint(spec, gallery).digest:
        return False
    if store.read_footer(GALLERY_FILE).fingerprint != gallery.fields:
        return False
    placebo = placebo_spec(spec)
    return is_sampled(spec, store) and (placebo is None or is_sampled(placebo, open_run(placebo)))
