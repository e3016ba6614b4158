"""The tables of a run with the columns of today, also where version 0.1 has written them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from distributed.storage.store import RunStore
from schemas.run.artefacts import GALLERY_FILE, NEIGHBOURS_FILE, OVER_REPRESENTATION_FILE, SCORES_FILE
from schemas.run.tables import NEIGHBOURS_SCHEMA, OVER_REPRESENTATION_SCHEMA, SCORES_SCHEMA, Outcome

FITS_ANOTHER = "the samples that resemble this person fit another candidate better, by a rule of version 0.1"
OF_0_1 = "explained_p_value"
"""A column of `scores.parquet` that only version 0.1 has written."""
CLEARED = "cleared_at"
"""A column that version 0.1 has not."""

NOT_IN_EARLIER = {"least_margin", "share_at_most", "more_than_cohort", "least_times"}
"""Columns of rates that runs of version 0.1 have not."""


def read_scores(store: RunStore) -> pa.Table:
    """`scores.parquet`. In version 0.1 `resembles` was a reason of a verdict, and its text named a person."""
    table = store.read_table(SCORES_FILE)
    if CLEARED not in table.schema.names:
        table = table.append_column(CLEARED, pa.nulls(len(table), SCORES_SCHEMA.field(CLEARED).type))
    if OF_0_1 not in table.schema.names:
        return table
    reason = pc.if_else(pc.is_valid(table["resembles"]), FITS_ANOTHER, table["reason"])
    place = table.schema.get_field_index("reason")
    return table.set_column(place, table.schema.field(place), reason).select(SCORES_SCHEMA.names)


def read_neighbours(store: RunStore) -> pa.Table:
    """`neighbours.parquet`, a sample once for each person. Of version 0.1, where each photo had its own, the
    largest similarity counts; `margin` and `best_other` are null."""
    table = store.read_table(NEIGHBOURS_FILE)
    if "margin" in table.schema.names:
        return table
    best = table.group_by(["identity", "recognizer", "sample_id"]).aggregate([("similarity", "max")])
    best = best.rename_columns({"similarity_max": "similarity"})
    for name in ("margin", "best_other"):
        best = best.append_column(name, pa.nulls(len(best), NEIGHBOURS_SCHEMA.field(name).type))
    return best


def read_rates(store: RunStore) -> pa.Table:
    """`over_representation.parquet`. In version 0.1 a hit was a similarity: what that has not is null."""
    table = store.read_table(OVER_REPRESENTATION_FILE)
    for field in OVER_REPRESENTATION_SCHEMA:
        if field.name not in table.schema.names and field.name in NOT_IN_EARLIER:
            table = table.append_column(field.name, pa.nulls(len(table), field.type))
    return table.select(OVER_REPRESENTATION_SCHEMA.names)


def read_photos(store: RunStore) -> pa.Table:
    """`gallery.parquet` without its templates."""
    return store.read_table(GALLERY_FILE, ["identity", "photo", "role", "outcome"])


def compared_photos(photos: pa.Table) -> dict[str, list[str]]:
    """Identity -> the photos that have a template, in the table's order."""
    used = photos.filter(pc.equal(photos["outcome"], Outcome.OK))
    by_person: dict[str, list[str]] = {}
    for identity, photo in zip(used["identity"].to_pylist(), used["photo"].to_pylist(), strict=True):
        by_person.setdefault(identity, []).append(photo)
    return by_person
