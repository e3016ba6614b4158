"""`idleak reduce SPEC`: neighbours, scores and verdicts from the samples and the gallery that are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from distributed.execution.cluster import Cluster
from distributed.gallery.attributes import read_attributes
from distributed.gallery.enrolled import EnrolledGallery, enrolled_gallery
from distributed.gallery.labels import require_usable_labels
from distributed.gallery.names import read_names
from distributed.gallery.source import gallery_source
from distributed.membership.assessment import Population, Prefix, Reduction, SettingScores
from distributed.membership.detectability import reach_of, with_detectability
from distributed.membership.judgement import (
    CONSENSUS,
    Book,
    Calibrated,
    EvidenceMaker,
    Frame,
    Scale,
    Support,
    calibrate,
    calibration_frame,
    combined_score,
    count_hits,
    explain_away,
    explain_hits,
    identity_quality,
    judge,
    operating_points,
    scales_of,
    score_book,
    suspects,
)
from distributed.membership.score_tables import neighbours_table, over_representation_table, scores_table
from distributed.membership.scores import OperatingPoint
from distributed.membership.settings_table import settings_table
from distributed.membership.verdicts import Decision, decide
from distributed.reduce.neighbours import Neighbours, Partial
from distributed.stages.enroll import Enrolment, enrolment_of
from distributed.stages.fingerprints import sampling_fingerprint
from distributed.stages.gallery_check import require_usable_gallery
from distributed.stages.passes import ReduceRun, SampleTemplates
from distributed.stages.reference import read_reference
from distributed.stages.results import write_results
from distributed.stages.sample import require_few_invalid
from distributed.stages.shards import ShardsMade
from distributed.stages.verdict_fingerprint import verdict_fingerprint
from distributed.statistics.drift import Drift, drift
from distributed.statistics.population import (
    densest_clusters,
    identities_of,
    match_counts,
    match_rates,
)
from distributed.statistics.transitivity import transitivity
from distributed.storage.shard_index import ShardRun, committed_outcomes
from distributed.storage.store import RunStore
from distributed.storage.trail import digests, record
from distributed.storage.vault import Vault
from jobs.cli.command import act_command
from jobs.cli.exit_codes import ExitCode
from jobs.cli.findings import print_findings
from jobs.cli.progress import Stage
from schemas.errors import InvalidSamplesError, SpecError
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
from schemas.run.tables import Role, Verdict, invalid_count
from schemas.spec.audit import AuditSpec
from schemas.spec.sweep import Sweep

PREFIXES = (0.01, 0.03, 0.1, 0.3, 1.0)
POPULATION_SAMPLES = 10_000
"""Of these the identities are counted: pairs grow with the square."""
LEAST_MATCH_RATE = 0.5
"""Of two photos of one person, at the threshold by which identities are counted."""


def main(argv: Sequence[str]) -> int:
    return act_command("reduce", __doc__, argv, _run)


def _run(spec: AuditSpec, store: RunStore) -> ExitCode:
    with Cluster() as cluster:
        made, enrolment = committed(spec, store)
        require_usable_gallery(spec, enrolment.table, gallery_source(spec, store).photos, cluster)
        require_usable_labels(spec, enrolment.table)
        reduction = reduce(spec, enrolment, store, cluster)
        fingerprint = verdict_fingerprint(spec, enrolment.fingerprint)
        write_results(spec, made, enrolment, reduction, fingerprint, store, {})
    print_findings(store)
    return ExitCode.OK


def committed(spec: AuditSpec, store: RunStore) -> tuple[ShardsMade, Enrolment]:
    """What `sample` and `enroll` have left. Raises SpecError if one of them has not been run to its end."""
    shards = plan_shards(spec.samples, spec.shard_size)
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
    made = ShardsMade(count_outcomes(list(outcomes.values())), len(shards), 0, {})
    require_few_invalid(invalid_count(made.outcomes), spec)
    names = read_names(store, Vault(spec.protection))
    return made, enrolment_of(spec, source, store.read_table(GALLERY_FILE), names)


def reduce(spec: AuditSpec, enrolment: Enrolment, store: RunStore, cluster: Cluster) -> Reduction:
    """Compare all samples with the gallery, judge, and write the tables of neighbours, scores and hits.

    They follow from the shards and the gallery, so earlier ones are replaced.
    """
    attributes = read_attributes(spec)
    with Stage("reducing", store, spec, "samples") as stage:
        begin = partial(stage.begin, 0)
        out = tuple(enrolment.overlap.left_out)
        run = ReduceRun(spec, store, cluster, stage.report, stage.event, begin, out)
        reduction = reduce_run(spec, enrolment.compared, run, attributes)
    write_tables(spec, reduction, verdict_fingerprint(spec, enrolment.fingerprint), store)
    return reduction


def write_tables(spec: AuditSpec, reduction: Reduction, fingerprint: Fingerprint, store: RunStore) -> None:
    """Write `neighbours.parquet`, `scores.parquet`, `over_representation.parquet`, and, of a sweep,
    `settings.parquet`."""
    frame = reduction.frame
    tables = {
        NEIGHBOURS_FILE: neighbours_table(frame.gallery, reduction.partials),
        SCORES_FILE: scores_table(frame, reduction.partials, reduction.judgements),
        OVER_REPRESENTATION_FILE: over_representation_table(frame, reduction.hits),
    }
    if reduction.settings:
        tables[SETTINGS_FILE] = settings_table(spec.generator.sweep, reduction)
    for path, table in tables.items():
        rows = table.num_rows
        footer = Footer(
            table=path.removesuffix(".parquet"), fingerprint=dict(fingerprint.fields), stop_id=rows, rows=rows
        )
        store.write_table(path, table, footer)
    record(store, "reduced", wrote=digests(store, *tables))


def reduce_run(
    spec: AuditSpec, table: pa.Table, run: ReduceRun, attributes: Mapping[str, Mapping[str, str]]
) -> Reduction:
    """All passes over the samples, and what they show. table: of `gallery.parquet`, without `run.left_out`.

    Raises InvalidSamplesError if no sample has a template.
    """
    gallery = enrolled_gallery(table, [one.name for one in spec.faces.recognizers])
    frame = calibration_frame(gallery, spec.membership, attributes)
    points = operating_points(gallery, spec.membership.hit_fmr)
    thresholds, found = _searched(spec, frame, points, run)
    partials = {name: prefixes[-1] for name, prefixes in found.items()}
    references = _reference_partials(spec, frame, thresholds, run)
    samples = run.gather(_wanted_samples(spec, found))
    makers = {
        name: EvidenceMaker.of(gallery, name, spec.membership, references.get(name)) for name in partials
    }
    book, prefixes = _prefix_scores(spec, frame, makers, found, samples)
    judgements = judge(frame, book, spec.membership)
    hits = [count_hits(frame, name, partial, spec.membership.fdr) for name, partial in partials.items()]
    people = suspects(frame, judgements, hits)
    if len(people):
        support = _support(people, thresholds, frame, partials, samples, makers, run)
        scales = _scales(frame, book, spec)
        judgements = explain_away(frame, judgements, support, spec.membership, scales)
        fdr = spec.membership.fdr
        hits = [explain_hits(frame, one, partials[one.recognizer], support, fdr) for one in hits]
    reach = reach_of(frame, partials)
    judgements = with_detectability(frame, judgements, reach, spec.membership)
    population = _population(gallery, samples)
    settings = _settings(spec, frame, makers, thresholds, run)
    drifts = _drifts(frame)
    return Reduction(frame, points, partials, judgements, hits, reach, population, prefixes, drifts, settings)


def _cuts(samples: int) -> tuple[int, ...]:
    return tuple(sorted({max(1, int(np.ceil(share * samples))) for share in PREFIXES}))


def _searched(
    spec: AuditSpec, frame: Frame, points: Mapping[str, OperatingPoint], run: ReduceRun
) -> tuple[dict[str, float], dict[str, list[Partial]]]:
    """The thresholds of a hit, and what is found below each cut; twice if they come from the samples."""
    thresholds = {name: point.threshold for name, point in points.items()}
    found = run.search(thresholds, frame.levels, _cuts(spec.samples))
    if not all(prefixes[-1].samples for prefixes in found.values()):
        raise InvalidSamplesError(
            "no sample has a template, so nobody can be scored: see `outcome` in the shards, and check "
            "faces.detector, or give faces.landmarks"
        )
    if spec.membership.hit == "median":
        nearest = {name: prefixes[-1].neighbours.similarity[:, 0] for name, prefixes in found.items()}
        thresholds = {name: float(np.median(values)) for name, values in nearest.items()}
        found = run.search(thresholds, frame.levels, _cuts(spec.samples))
    return thresholds, found


def _reference_partials(
    spec: AuditSpec, frame: Frame, thresholds: Mapping[str, float], run: ReduceRun
) -> dict[str, Partial]:
    if spec.membership.reference is None or "calibrated" not in spec.membership.scores:
        return {}
    reference = read_reference(spec)
    found = run.search(thresholds, frame.levels, (spec.samples,), reference)
    return {name: prefixes[-1] for name, prefixes in found.items()}


def _wanted_samples(spec: AuditSpec, found: Mapping[str, Sequence[Partial]]) -> dict[str, NDArray[np.int64]]:
    """The ids whose templates are needed: nearest samples, and the first ones to count identities."""
    first = np.arange(min(spec.samples, POPULATION_SAMPLES))
    return {
        name: np.unique(np.concatenate([first, *(_neighbour_ids(one.neighbours) for one in prefixes)]))
        for name, prefixes in found.items()
    }


def _neighbour_ids(neighbours: Neighbours) -> NDArray[np.int64]:
    ids: NDArray[np.int64] = np.unique(neighbours.sample_id)
    return ids[ids >= 0]


def _prefix_scores(
    spec: AuditSpec,
    frame: Frame,
    makers: Mapping[str, EvidenceMaker],
    found: Mapping[str, Sequence[Partial]],
    samples: Mapping[str, SampleTemplates],
) -> tuple[Book, list[Prefix]]:
    """The scores of photos by all samples, and each prefix's scores and flags."""
    book: Book = {}
    prefixes: list[Prefix] = []
    for place, cut in enumerate(_cuts(spec.samples)):
        if not all(partials[place].samples for partials in found.values()):
            continue
        evidences = {name: makers[name].evidence(found[name][place], samples[name]) for name in makers}
        book = score_book(evidences, spec.membership.scores, None, frame)
        for (recognizer, name), values in book.items():
            one, decisions = decided(spec, frame, values)
            flagged = sum(decision.verdict is Verdict.LEAKED for decision in decisions)
            prefixes.append(Prefix(cut, recognizer, name, one.score, flagged))
    return book, prefixes


def decided(
    spec: AuditSpec, frame: Frame, values: NDArray[np.float64]
) -> tuple[Calibrated, Sequence[Decision]]:
    """The p-values and verdicts that the scores of photos lead to, before explaining away."""
    one = calibrate(frame, values)
    fdr, correction = spec.membership.fdr, spec.membership.correction
    return one, decide(one.p_value, one.floor, fdr=fdr, correction=correction)


def _settings(
    spec: AuditSpec,
    frame: Frame,
    makers: Mapping[str, EvidenceMaker],
    thresholds: Mapping[str, float],
    run: ReduceRun,
) -> list[SettingScores]:
    """Each setting of a sweep, scored by its own samples; none without a sweep."""
    count = len(Sweep(spec.generator.sweep).settings)
    found: list[SettingScores] = []
    for setting in range(count if count > 1 else 0):
        partials = run.search_setting(thresholds, frame.levels, count, setting)
        found += _of_setting(spec, frame, makers, setting, partials, run)
    return found


def _of_setting(
    spec: AuditSpec,
    frame: Frame,
    makers: Mapping[str, EvidenceMaker],
    setting: int,
    partials: Mapping[str, Partial],
    run: ReduceRun,
) -> Iterator[SettingScores]:
    if not all(one.samples for one in partials.values()):
        return
    near = run.gather({name: _neighbour_ids(one.neighbours) for name, one in partials.items()})
    evidences = {name: makers[name].evidence(one, near[name]) for name, one in partials.items()}
    samples = min(one.samples for one in partials.values())
    for (recognizer, name), values in score_book(evidences, spec.membership.scores, None, frame).items():
        yield SettingScores(setting, samples, recognizer, name, *decided(spec, frame, values))


def _scales(frame: Frame, book: Book, spec: AuditSpec) -> dict[str, Scale] | None:
    if CONSENSUS not in spec.membership.scores:
        return None
    return scales_of(frame, book, combined_score(spec.membership.scores))


def _support(
    people: NDArray[np.int64],
    thresholds: Mapping[str, float],
    frame: Frame,
    nearest: Mapping[str, Partial],
    samples: Mapping[str, SampleTemplates],
    makers: Mapping[str, EvidenceMaker],
    run: ReduceRun,
) -> Support:
    partials = run.support(people, thresholds, frame.levels)
    found = run.gather({name: _neighbour_ids(one.neighbours) for name, one in partials.items()})
    photos = np.flatnonzero(np.isin(frame.gallery.identity, people)).astype(np.int64)
    evidences = {name: makers[name].evidence(one, found[name], photos) for name, one in partials.items()}
    return Support(people, photos, partials, evidences, nearest, samples)


def _population(gallery: EnrolledGallery, samples: Mapping[str, SampleTemplates]) -> Population | None:
    """By the first recogniser; None if fewer than two cohort identities have two photos, or if it does not
    tell the cohort's people apart, so that nobody can be counted by it."""
    recognizer = next(iter(samples))
    cohort = np.isin(gallery.identity, gallery.members_of(Role.COHORT))
    photos = np.bincount(gallery.identity[cohort])
    first = samples[recognizer].sample_id < POPULATION_SAMPLES
    templates = samples[recognizer].templates[first]
    if (photos >= 2).sum() < 2 or len(templates) < 4:
        return None
    rates = match_rates(gallery.templates[recognizer][cohort], gallery.identity[cohort])
    if rates.tmr < LEAST_MATCH_RATE:
        return None
    counts = match_counts(templates, rates.threshold)
    crowds = densest_clusters(templates, samples[recognizer].sample_id[first], rates.threshold)
    transitive = transitivity(templates, counts, rates)
    return Population(recognizer, identities_of(counts, rates), transitive, crowds)


def _drifts(frame: Frame) -> list[Drift]:
    gallery = frame.gallery
    cohort = gallery.members_of(Role.COHORT)
    columns = {
        "photos per identity": gallery.photos_per_identity().astype(np.float64),
        "detection score": identity_quality(gallery),
    }
    found = [drift(name, values[frame.candidates], values[cohort]) for name, values in columns.items()]
    return [one for one in found if one is not None]
