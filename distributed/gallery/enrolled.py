"""`gallery.parquet`: written, read back, and as templates of people, ready to be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from distributed.gallery.photos import Photo
from distributed.statistics.matching import photo_ranks
from distributed.storage.store import RunStore
from distributed.storage.vault import Vault
from schemas.errors import SpecError
from schemas.fingerprint import Fingerprint
from schemas.run.artefacts import ENROLLING_PREFIX, GALLERY_FILE, NAMES_FILE
from schemas.run.shard import Footer
from schemas.run.tables import (
    FACE_SIZE_COLUMN,
    TEMPLATE_PREFIX,
    Outcome,
    Role,
    gallery_schema,
    template_column,
)

SEPARATOR = "\0"
REASONS_NAMED = 3


@dataclass(frozen=True)
class EnrolledGallery:
    """g accepted photos of i identities.

    `identity` (g,) int64 indexes `names` and `roles`, both of length i: candidates first, each side sorted.
    `templates`: recogniser name -> (g, d) float32, as stored (float16 precision). `detection_score`,
    `face_size`: (g,) float64, NaN where nothing was detected, or no size was kept. `rank`: (g,)
    int64, see `photo_ranks`.
    """

    names: Sequence[str]
    roles: Sequence[Role]
    identity: NDArray[np.int64]
    photos: Sequence[str]
    templates: Mapping[str, NDArray[np.float32]]
    detection_score: NDArray[np.float64]
    face_size: NDArray[np.float64]
    rank: NDArray[np.int64]

    def photos_per_identity(self) -> NDArray[np.int64]:
        return np.bincount(self.identity, minlength=len(self.names)).astype(np.int64)

    def members_of(self, role: Role) -> NDArray[np.int64]:
        """Indices of the identities of one side."""
        return np.flatnonzero([side is role for side in self.roles]).astype(np.int64)


def read_gallery(path: Path, role: Role, vault: Vault | None = None) -> tuple[Footer, pa.Table]:
    """One side of an earlier `gallery.parquet`. Raises SpecError if it is not there or has no such side, or
    without the key that it was encrypted under."""
    if not path.is_file():
        raise SpecError(f"there is no {path}; correct the gallery's parquet, or enroll from images")
    store = RunStore(str(path.parent), vault)
    footer, table = store.read_footer(path.name), store.read_table(path.name)
    table = table.filter(pc.equal(table["role"], role)).replace_schema_metadata(None)
    if table.num_rows == 0:
        raise SpecError(f"{path} holds no identity with the role {role}; give one that does")
    return footer, table


def accepted(table: pa.Table) -> pa.Table:
    """The rows whose photo gave a template."""
    return table.filter(pc.equal(table["outcome"], Outcome.OK))


def without_people(table: pa.Table, identities: Collection[str]) -> pa.Table:
    """The rows of a table with a column `identity` that are about nobody of these."""
    return table.filter(pc.invert(pc.is_in(table["identity"], pa.array(identities, pa.string()))))


def enrolled_gallery(table: pa.Table, recognizers: Sequence[str]) -> EnrolledGallery:
    """The accepted photos of a `gallery.parquet`."""
    rows = accepted(table)
    names, photos = rows["identity"].to_pylist(), rows["photo"].to_pylist()
    people = pc.binary_join_element_wise(rows["role"], rows["identity"], SEPARATOR).combine_chunks()
    encoded = people.dictionary_encode()
    # UTF-8 sorts by bytes as text does by code points.
    order = pc.sort_indices(encoded.dictionary)
    position = np.empty(len(order), np.int64)
    position[order.to_numpy()] = np.arange(len(order))
    keys = [key.split(SEPARATOR, 1) for key in encoded.dictionary.take(order).to_pylist()]
    identity = position[encoded.indices.to_numpy()]
    return EnrolledGallery(
        names=[name for _, name in keys],
        roles=[Role(role) for role, _ in keys],
        identity=identity,
        photos=photos,
        templates={name: template_rows(rows, name) for name in recognizers},
        detection_score=_numbers(rows, "detection_score"),
        face_size=_numbers(with_face_sizes(rows), FACE_SIZE_COLUMN),
        rank=photo_ranks(identity, [f"{name}/{photo}" for name, photo in zip(names, photos, strict=True)]),
    )


def _numbers(rows: pa.Table, column: str) -> NDArray[np.float64]:
    return np.asarray(rows[column].cast("float64").fill_null(np.nan).to_numpy(), np.float64)


def with_face_sizes(table: pa.Table) -> pa.Table:
    """The table with the column of face sizes, which 0.2.0 and before did not keep: unknown."""
    if FACE_SIZE_COLUMN in table.column_names:
        return table
    place = table.column_names.index("detection_score") + 1
    return table.add_column(place, FACE_SIZE_COLUMN, pa.nulls(table.num_rows, pa.float32()))


def photo_rows(embedded: pa.Table, photos: Sequence[Photo]) -> pa.Table:
    """Rows of `gallery.parquet`: embedded photos, with who is on them."""
    people = {
        "identity": [photo.identity for photo in photos],
        "photo": [photo.name for photo in photos],
        "role": [str(photo.role) for photo in photos],
    }
    embedded = with_face_sizes(embedded)
    columns = {name: embedded[name] for name in embedded.column_names if name not in ("sample_id", "faces")}
    return pa.table(people | columns).cast(_schema(embedded))


def _schema(table: pa.Table) -> pa.Schema:
    dimensions = {
        field.name.removeprefix(TEMPLATE_PREFIX): field.type.list_size
        for field in table.schema
        if field.name.startswith(TEMPLATE_PREFIX)
    }
    return gallery_schema(dimensions)


def template_rows(table: pa.Table, recognizer: str) -> NDArray[np.float32]:
    """One recogniser's templates, (n, d) float32, in the table's order; rows without one are left out."""
    column = table[template_column(recognizer)].combine_chunks()
    dim = column.type.list_size
    values = np.asarray(column.flatten().to_numpy(zero_copy_only=False), np.float32)
    return values.reshape(-1, dim)


def require_both_sides(table: pa.Table, reasons: Mapping[tuple[str, str], str] | None = None) -> None:
    """Raise SpecError unless someone can be scored, against two others or more, and none is on both sides.

    reasons: why photos are no images, of some of them, by identity and photo.
    """
    people = {role: set(accepted(_side(table, role))["identity"].to_pylist()) for role in Role}
    for role, least in ((Role.CANDIDATE, 1), (Role.COHORT, 2)):
        if len(people[role]) < least:
            counts = sorted(Counter(_side(table, role)["outcome"].to_pylist()).items())
            outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in counts) or "none"
            why = f"; among them {_named_reasons(reasons)}" if reasons else ""
            raise SpecError(
                f"the gallery's {role} side needs {least} or more people with a usable photo, and has "
                f"{len(people[role])}; its photos: {outcomes}{why}"
            )
    if both := people[Role.CANDIDATE] & people[Role.COHORT]:
        raise SpecError(
            f"{len(both)} identities are in the candidates and in the cohort, such as {min(both)!r}; "
            "the cohort must be people outside the training data: remove them from one side"
        )


def _named_reasons(reasons: Mapping[tuple[str, str], str]) -> str:
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


def drop_other_gallery(store: RunStore, fingerprint: Fingerprint) -> None:
    """Delete the run's gallery, whole or begun, if it is not of this fingerprint: for runs that outlive it.

    Nothing of it is kept elsewhere, as people who have left a gallery have a right to be gone.
    """
    for path in [*filter(store.exists, [GALLERY_FILE]), *store.sizes(ENROLLING_PREFIX)]:
        if store.read_footer(path).fingerprint != fingerprint.fields:
            store.delete(path)
            store.delete(NAMES_FILE)
