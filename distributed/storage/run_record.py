"""What a run says of itself: `run.json`, which spec its folder belongs to."""

from __future__ import annotations

from collections.abc import Sequence

from distributed.storage.store import RunStore
from distributed.storage.trail import digests, record
from distributed.storage.versioned import read_versioned
from schemas.errors import MissingFileError, SpecError
from schemas.fingerprint import Fingerprint
from schemas.run.artefacts import RECORD_FILE
from schemas.run.record import RunRecord
from schemas.spec.audit import AuditSpec
from schemas.version import idleak_version


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
    advice = "is not a run's record: give the `output` of a spec, or restore the file from a copy"
    try:
        return read_versioned(store, RECORD_FILE, RunRecord, advice)
    except MissingFileError as error:
        raise SpecError(f"{store.location} holds no run: give the `output` of a spec") from error
