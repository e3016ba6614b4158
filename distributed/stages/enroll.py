"""Embed the gallery's photos into `gallery.parquet`; every refused photo is listed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from distributed.embedding.fingerprint import recognizer_fields
from distributed.execution.executor import Executor, Watch
from distributed.gallery.attributes import read_attributes
from distributed.gallery.enrolled import accepted, read_gallery, without_people
from distributed.gallery.labels import require_labels_of
from distributed.gallery.names import names_of, read_names, write_names
from distributed.gallery.overlap import gallery_overlap, require_each_once
from distributed.gallery.people.listing import Notice
from distributed.gallery.photos import Photo
from distributed.gallery.refusals import PhotoKey, refusal_reasons
from distributed.gallery.source import GallerySource, gallery_source
from distributed.gallery.template_sides import template_names, template_tables
from distributed.sampling.images.packed_places import PackedPlaces
from distributed.stages.gallery_check import require_usable_gallery
from distributed.stages.given_templates import require_templates_dimension
from distributed.stages.shards import make_missing
from distributed.storage.shard_index import ShardRun
from distributed.storage.store import RunStore
from distributed.storage.trail import digests, record
from distributed.storage.vault import Vault
from schemas.errors import RecognizerError, SpecError
from schemas.fingerprint import Fingerprint
from schemas.run.artefacts import ENROLLING_PREFIX, GALLERY_FILE, NAMES_FILE
from schemas.run.names import NameMap
from schemas.run.overlap import OverlapResult
from schemas.run.shard import Footer, Shard, plan_shards
from schemas.run.tables import Role, gallery_schema
from schemas.spec.audit import AuditSpec

PHOTOS_PER_SHARD = 128
REASONS_NAMED = 3


@dataclass(frozen=True)
class Enrolment:
    """The enrolled gallery, the fingerprint it was made under, who may be in it twice, what its sources
    inferred and left out, and why photos are no images."""

    table: pa.Table
    fingerprint: Fingerprint
    overlap: OverlapResult
    notices: Sequence[Notice] = ()
    reasons: Mapping[PhotoKey, str] = field(default_factory=dict)

    @property
    def compared(self) -> pa.Table:
        """The gallery without those of the cohort who are left out: what samples are compared with."""
        return without_people(self.table, self.overlap.left_out)


def enroll(spec: AuditSpec, store: RunStore, executor: Executor, watch: Watch) -> Enrolment:
    """Make `gallery.parquet` unless it is there. Raises SpecError or a subclass for photos, models or earlier
    galleries that cannot be used and for a photo under two people, RecognizerError if people cannot be told
    apart, WrongRunError if the output holds another gallery, ShardsLostError."""
    source = gallery_source(spec, store)
    fingerprint = source.fingerprint
    if GALLERY_FILE in store.sizes():
        fields = store.read_footer(GALLERY_FILE).fingerprint
        fingerprint.require(Fingerprint(fields), GALLERY_FILE)
        table = store.read_table(GALLERY_FILE)
        enrolment = enrolment_of(spec, source, table, read_names(store, Vault(spec.protection)))
        require_usable_gallery(spec, enrolment.compared, source.photos, executor)
        return enrolment
    # Sealed first, so that those whom a refusal is about can be revealed.
    names = _all_names(spec, source)
    write_names(store, Vault(spec.protection), names)
    require_each_once(spec, source)
    _require_usable_tables(spec, source)
    require_templates_dimension(spec, executor)
    parts = [without_people(table, source.erased) for table in galleries_without_photos(spec)]
    if source.photos:
        parts.append(_embed_photos(spec, source.photos, fingerprint, store, executor, watch))
    table = pa.concat_tables(parts).sort_by([(name, "ascending") for name in ("role", "identity", "photo")])
    require_both_sides(table, refusal_reasons(spec, source.photos, table))
    enrolment = enrolment_of(spec, source, table, names)
    with _dropped_if_refused(store):
        # Without those who are there twice: they would look like people who cannot be told apart.
        require_usable_gallery(spec, enrolment.compared, source.photos, executor)
    commit_gallery(table, fingerprint, store)
    record(store, "enrolled", wrote=digests(store, GALLERY_FILE, NAMES_FILE))
    return enrolment


def enrolment_of(spec: AuditSpec, source: GallerySource, table: pa.Table, names: NameMap) -> Enrolment:
    """table: of `gallery.parquet`; names: of its people. Raises SpecError if two people have one photo, or if
    too few of the cohort are left."""
    require_each_once(spec, source, table)
    overlap = gallery_overlap(spec, source, table, names)
    reasons = refusal_reasons(spec, source.photos, table)
    return Enrolment(table, source.fingerprint, overlap, source.notices, reasons)


def _require_usable_tables(spec: AuditSpec, source: GallerySource) -> None:
    """Raise SpecError, before a photo is enrolled, for attributes or labels that cannot serve."""
    read_attributes(spec)
    if spec.gallery.candidates.has_photos:
        require_labels_of(spec, (photo.identity for photo in source.photos if photo.role is Role.CANDIDATE))


@contextmanager
def _dropped_if_refused(store: RunStore) -> Iterator[None]:
    """Delete begun shards that no audit can use, which would be in the way of the corrected spec's."""
    try:
        yield
    except RecognizerError:
        store.delete_all(ENROLLING_PREFIX)
        raise


def _all_names(spec: AuditSpec, source: GallerySource) -> NameMap:
    """Of everybody in the gallery whose name is known: from its sources, and beside earlier galleries."""
    vault = Vault(spec.protection)
    names = names_of(source).merged(template_names(spec, vault))
    for side in spec.gallery.sides:
        if side.earlier is not None:
            names = names.merged(read_names(RunStore(str(Path(side.earlier).parent)), vault))
    for person in source.erased:
        names = names.without(person, ())
    return names


def drop_other_gallery(store: RunStore, fingerprint: Fingerprint) -> None:
    """Delete the run's gallery, whole or begun, if it is not of this fingerprint: for runs that outlive it.

    Nothing of it is kept elsewhere, as people who have left a gallery have a right to be gone.
    """
    for path in [*filter(store.exists, [GALLERY_FILE]), *store.sizes(ENROLLING_PREFIX)]:
        if store.read_footer(path).fingerprint != fingerprint.fields:
            store.delete(path)
            store.delete(NAMES_FILE)


def _embed_photos(
    spec: AuditSpec,
    photos: Sequence[Photo],
    fingerprint: Fingerprint,
    store: RunStore,
    executor: Executor,
    watch: Watch,
) -> pa.Table:
    shards = plan_shards(len(photos), PHOTOS_PER_SHARD)
    run = ShardRun(spec, fingerprint, ENROLLING_PREFIX, shards, PackedPlaces(photo.place for photo in photos))
    with watch("enrolling") as observer:
        make_missing(run, store, executor, observer)
    tables = [_with_people(store.read_table(run.path(shard)), photos, shard) for shard in shards]
    return pa.concat_tables(tables)


def _with_people(embedded: pa.Table, photos: Sequence[Photo], shard: Shard) -> pa.Table:
    """The rows of a shard of photos, with who is on them."""
    part = photos[shard.first_id : shard.stop_id]
    people = {
        "identity": [photo.identity for photo in part],
        "photo": [photo.name for photo in part],
        "role": [str(photo.role) for photo in part],
    }
    columns = {name: embedded[name] for name in embedded.column_names if name not in ("sample_id", "faces")}
    return pa.table(people | columns).cast(_schema(embedded))


def _schema(table: pa.Table) -> pa.Schema:
    dimensions = {
        field.name.removeprefix("template_"): field.type.list_size
        for field in table.schema
        if field.name.startswith("template_")
    }
    return gallery_schema(dimensions)


def galleries_without_photos(spec: AuditSpec) -> list[pa.Table]:
    """The sides that are given as templates, from wherever."""
    return [*earlier_galleries(spec), *template_tables(spec, Vault(spec.protection))]


def earlier_galleries(spec: AuditSpec) -> list[pa.Table]:
    """The sides that are given as an earlier `gallery.parquet`, from templates of the same recognisers."""
    tables = []
    for role, source in ((Role.CANDIDATE, spec.gallery.candidates), (Role.COHORT, spec.gallery.cohort)):
        if source.earlier is not None:
            tables.append(_earlier_gallery(Path(source.earlier), role, spec))
    return tables


def _earlier_gallery(path: Path, role: Role, spec: AuditSpec) -> pa.Table:
    footer, table = read_gallery(path, role, Vault(spec.protection))
    require_same_key(footer, path, spec)
    wanted = recognizer_fields(spec.faces)
    known = Fingerprint({name: value for name, value in footer.fingerprint.items() if name in wanted})
    if differences := Fingerprint(wanted).differences(known):
        raise SpecError(f"{path} was enrolled with other recognisers: {'; '.join(differences)}; make it anew")
    return table


def require_same_key(footer: Footer, path: Path, spec: AuditSpec) -> None:
    """Raise SpecError if an earlier gallery's pseudonyms are of another key: nobody could be told apart."""
    key_id, their_key_id = Vault(spec.protection).key_id, footer.fingerprint.get("protection.key", "none")
    if key_id != their_key_id:
        raise SpecError(
            f"{path} has pseudonyms of the key {their_key_id}, and protection.key is {key_id}: give that "
            "key, or enroll from images"
        )


def require_both_sides(table: pa.Table, reasons: Mapping[PhotoKey, str] | None = None) -> None:
    """Raise SpecError unless someone can be scored, against two others or more, and none is on both sides.

    reasons: why photos are no images, of some of them.
    """
    people = {role: set(accepted(_side(table, role))["identity"].to_pylist()) for role in Role}
    for role, least in ((Role.CANDIDATE, 1), (Role.COHORT, 2)):
        if len(people[role]) < least:
            outcomes = dict(Counter(_side(table, role)["outcome"].to_pylist()))
            why = f"; among them {_named_reasons(reasons)}" if reasons else ""
            raise SpecError(
                f"the gallery's {role} side needs {least} or more people with a usable photo, and has "
                f"{len(people[role])}; its photos: {outcomes}{why}"
            )
    if both := people[Role.CANDIDATE] & people[Role.COHORT]:
        raise SpecError(
            f"{len(both)} identities are in the candidates and in the cohort, such as {min(both)!r}; "
            "the cohort must be people known to be outside the training data: remove them from one side"
        )


def _named_reasons(reasons: Mapping[PhotoKey, str]) -> str:
    """A photo for each reason."""
    photos = {why: f"{identity}/{photo}" for (identity, photo), why in sorted(reasons.items(), reverse=True)}
    return "; ".join(f"{photo}: {why}" for why, photo in sorted(photos.items())[:REASONS_NAMED])


def _side(table: pa.Table, role: Role) -> pa.Table:
    return table.filter(pc.equal(table["role"], role))


def commit_gallery(table: pa.Table, fingerprint: Fingerprint, store: RunStore) -> None:
    """Write the gallery, then drop the shards that it was put together from."""
    outcomes = dict(sorted(Counter(table["outcome"].to_pylist()).items()))
    footer = Footer(
        table="gallery",
        fingerprint=dict(fingerprint.fields),
        stop_id=table.num_rows,
        rows=table.num_rows,
        outcomes=outcomes,
    )
    store.write_table(GALLERY_FILE, table, footer)
    store.delete_all(ENROLLING_PREFIX)
