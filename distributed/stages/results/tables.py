"""Write the tables of neighbours, scores and hits."""

from __future__ import annotations

from distributed.membership.assessment import Assessment
from distributed.membership.score_tables import (
    neighbours_table,
    over_representation_table,
    scores_table,
    settings_table,
)
from distributed.storage.store import RunStore
from distributed.storage.trail import digests, record
from schemas.fingerprint import Fingerprint
from schemas.run.artefacts import NEIGHBOURS_FILE, OVER_REPRESENTATION_FILE, SCORES_FILE, SETTINGS_FILE
from schemas.run.shard import Footer
from schemas.spec.audit import AuditSpec


def write_tables(spec: AuditSpec, assessment: Assessment, fingerprint: Fingerprint, store: RunStore) -> None:
    """Write `neighbours.parquet`, `scores.parquet`, `over_representation.parquet`, and, of a sweep,
    `settings.parquet`."""
    frame = assessment.frame
    tables = {
        NEIGHBOURS_FILE: neighbours_table(frame, assessment.partials),
        SCORES_FILE: scores_table(frame, assessment.partials, assessment.judgements, assessment.hits),
        OVER_REPRESENTATION_FILE: over_representation_table(frame, assessment.hits, assessment.ceilings),
    }
    if assessment.settings:
        tables[SETTINGS_FILE] = settings_table(spec.generator.sweep, frame, assessment.settings)
    for path, table in tables.items():
        rows = table.num_rows
        footer = Footer(
            table=path.removesuffix(".parquet"), fingerprint=dict(fingerprint.fields), stop_id=rows, rows=rows
        )
        store.write_table(path, table, footer)
    record(store, "reduced", wrote=digests(store, *tables))
