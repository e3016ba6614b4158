"""What a run says of itself: `run.json`, which spec its folder belongs to; `results.json`, read back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow.compute as pc
from pydantic import ValidationError

from distributed.storage.store import RunStore
from distributed.storage.trail import digests, record
from schemas.errors import DamagedError, MissingFileError, SpecError, WrongRunError
from schemas.fingerprint import Fingerprint
from schemas.run.artefacts import RECORD_FILE, RESULTS_FILE, SCORES_FILE
from schemas.run.record import RunRecord
from schemas.run.results import AuditResults, ScoreResult
from schemas.run.tables import Role
from schemas.spec.audit import AuditSpec
from schemas.version import idleak_version, is_later


def record_run(
    store: RunStore,
    spec: AuditSpec,
    fingerprint: Fingerprint,
    generator: Sequence[str] = (),
    faces: Sequence[str] = (),
) -> None:
    """Write the record, which the trail then vouches for. generator: what of it is no sample. faces: what
    was inferred of its models.

    Raises WrongRunError if the folder holds a run of another fingerprint.
    """
    gallery: tuple[str, ...] = ()
    version = idleak_version()
    if store.exists(RECORD_FILE):
        known = read_record(store)
        fingerprint.require(Fingerprint(known.fingerprint), store.location)
        gallery, version = known.gallery, known.version
    fields = dict(fingerprint.fields)
    inferred = {"gallery": gallery, "generator": tuple(generator), "faces": tuple(faces)}
    _write(store, RunRecord(version=version, spec=spec, fingerprint=fields, **inferred))


def with_recorded_shards(spec: AuditSpec, store: RunStore) -> AuditSpec:
    """The spec; where its shard size is `auto` and a run has been begun, with that run's."""
    if spec.shard_size != "auto" or not store.exists(RECORD_FILE):
        return spec
    return spec.model_copy(update={"shard_size": read_record(store).spec.samples_per_shard})


def record_gallery(store: RunStore, lines: Sequence[str]) -> None:
    """Keep in the record, if there is one, what the sources of people inferred and left out."""
    if store.exists(RECORD_FILE):
        _write(store, read_record(store).model_copy(update={"gallery": tuple(lines)}))


def _write(store: RunStore, run: RunRecord) -> None:
    """Write the record, unless it is there already."""
    empty = {name for name in ("version", "gallery", "generator", "faces") if not getattr(run, name)}
    written = run.model_dump_json(indent=2, exclude=empty).encode()
    if not store.exists(RECORD_FILE) or store.read(RECORD_FILE) != written:
        store.write(RECORD_FILE, written)
        record(store, "recorded", wrote=digests(store, RECORD_FILE))


def read_record(store: RunStore) -> RunRecord:
    """The record. Raises SpecError if there is no run, WrongRunError if it is of a later idleak that wrote
    more than this one knows, DamagedError if the record is none, StoreError."""
    try:
        content = store.read(RECORD_FILE)
    except MissingFileError as error:
        raise SpecError(f"{store.location} holds no run: give the `output` of a spec") from error
    try:
        return RunRecord.model_validate_json(content)
    except ValidationError as error:
        _require_known_version(store, content)
        raise DamagedError(
            f"{store.location}/{RECORD_FILE} is not a run's record: give the `output` of a spec, or restore "
            "the file from a copy"
        ) from error


def read_results(store: RunStore) -> AuditResults:
    """`results.json`. Raises WrongRunError if a later idleak wrote more than this one knows, DamagedError if
    it does not fit its model for another reason."""
    content = store.read(RESULTS_FILE)
    try:
        return AuditResults.model_validate_json(content)
    except ValidationError as error:
        _require_known_version(store, content)
        raise DamagedError(
            f"{store.location}/{RESULTS_FILE} is damaged, or of another version of idleak: delete it, then "
            "run `idleak reduce` again"
        ) from error


def _require_known_version(store: RunStore, content: bytes) -> None:
    """Raise WrongRunError if a file of the run says that a later idleak wrote it."""
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError):
        return
    match fields:
        case {"version": str(made_by)} | {"versions": {"idleak": str(made_by)}}:
            if is_later(made_by, here := idleak_version()):
                raise WrongRunError(
                    f"{store.location} was made by idleak {made_by}, and this is {here}: open it with "
                    f"{made_by} or a later one"
                )


def most_at_risk(store: RunStore, headline: ScoreResult, count: int = 10) -> list[dict[str, Any]]:
    """Rows of `scores.parquet`: candidates by the headline score, smallest p first, then largest score."""
    table = store.read_table(SCORES_FILE)
    wanted = pc.and_(
        pc.equal(table["recognizer"], headline.recognizer), pc.equal(table["score_name"], headline.score_name)
    )
    table = table.filter(pc.and_(wanted, pc.equal(table["role"], Role.CANDIDATE)))
    order = [("p_value", "ascending"), ("score", "descending"), ("identity", "ascending")]
    rows: list[dict[str, Any]] = table.sort_by(order).slice(0, count).to_pylist()
    return rows
