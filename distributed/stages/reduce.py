"""Neighbours, scores and verdicts from the samples and the gallery that are there."""

from __future__ import annotations

from dataclasses import replace

from distributed.execution.executor import Executor, Watch
from distributed.gallery.attributes import read_attributes
from distributed.gallery.enrolled import enrolled_gallery
from distributed.gallery.names import read_names
from distributed.gallery.source import gallery_source
from distributed.membership.assess import assess
from distributed.membership.assessment import Assessment
from distributed.membership.score_tables import (
    neighbours_table,
    over_representation_table,
    scores_table,
    settings_table,
)
from distributed.stages.enroll import Enrolment, enrolment_of
from distributed.stages.fingerprints import sampling_fingerprint, verdict_fingerprint
from distributed.stages.passes import Passes
from distributed.stages.placebo import assess_placebo, require_placebo_samples
from distributed.stages.reference import read_reference
from distributed.stages.sample import require_few_invalid
from distributed.stages.shards import ShardsMade
from distributed.storage.run_record import record_gallery
from distributed.storage.shard_index import ShardRun, committed_outcomes
from distributed.storage.store import RunStore
from distributed.storage.trail import digests, record
from distributed.storage.vault import Vault
from schemas.errors import SpecError
from schemas.fingerprint import Fingerprint
from schemas.run.artefacts import (
    GALLERY_FILE,
    NEIGHBOURS_FILE,
    OVER_REPRESENTATION_FILE,
    SAMPLES_PREFIX,
    SCORES_FILE,
    SETTINGS_FILE,
)
from schemas.run.shard import Footer, count_outcomes, plan_shards
from schemas.run.tables import invalid_count
from schemas.spec.audit import AuditSpec


def committed(spec: AuditSpec, store: RunStore) -> tuple[ShardsMade, Enrolment]:
    """What `sample` and `enroll` have left. Raises SpecError if one of them has not been run to its end."""
    shards = plan_shards(spec.samples, spec.samples_per_shard)
    run = ShardRun(spec, sampling_fingerprint(spec), SAMPLES_PREFIX, shards)
    outcomes = committed_outcomes(run, store)
    if len(outcomes) < len(shards):
        raise SpecError(
            f"{len(shards) - len(outcomes)} of {len(shards)} shards are missing: run `idleak sample` first"
        )
    if GALLERY_FILE not in store.sizes():
        raise SpecError(f"{store.location} has no {GALLERY_FILE}: run `idleak enroll` first")
    source = gallery_source(spec, store)
    source.fingerprint.require(Fingerprint(store.read_footer(GALLERY_FILE).fingerprint), GALLERY_FILE)
    require_placebo_samples(spec)
    made = ShardsMade(count_outcomes(list(outcomes.values())), len(shards), 0, {})
    require_few_invalid(invalid_count(made.outcomes), spec)
    names = read_names(store, Vault(spec.protection))
    return made, enrolment_of(spec, source, store.read_table(GALLERY_FILE), names)


def reduce(
    spec: AuditSpec, enrolment: Enrolment, store: RunStore, executor: Executor, watch: Watch
) -> Assessment:
    """Compare all samples with the gallery, judge, and write the tables of neighbours, scores and hits.

    They follow from the shards and the gallery, so earlier ones are replaced.
    """
    attributes = read_attributes(spec)
    record_gallery(store, [notice.text for notice in enrolment.notices])
    with watch("reducing", "samples") as observer:
        passes = Passes(spec, store, executor, observer)
        gallery = enrolled_gallery(
            enrolment.compared, [recognizer.name for recognizer in spec.faces.recognizers]
        )
        reference = None if spec.membership.reference is None else read_reference(spec)
        twins = [pair.people for pair in enrolment.overlap.matches.found]
        assessment = assess(spec, gallery, passes, attributes, reference, twins=twins)
    assessment = replace(assessment, placebo=assess_placebo(spec, enrolment, gallery, executor, watch))
    write_tables(spec, assessment, verdict_fingerprint(spec, enrolment.fingerprint), store)
    return assessment


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
        tables[SETTINGS_FILE] = settings_table(spec.generator.sweep, assessment)
    for path, table in tables.items():
        rows = table.num_rows
        footer = Footer(
            table=path.removesuffix(".parquet"), fingerprint=dict(fingerprint.fields), stop_id=rows, rows=rows
        )
        store.write_table(path, table, footer)
    record(store, "reduced", wrote=digests(store, *tables))
