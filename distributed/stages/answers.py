"""What is kept of the answers of a generator that cannot be asked again."""

from __future__ import annotations

import pyarrow.compute as pc

from distributed.sampling.api.answers import AnswerBook
from distributed.storage.store import RunStore
from schemas.run.artefacts import GALLERY_FILE, NEIGHBOURS_FILE
from schemas.run.tables import Role
from schemas.spec.generators import GeneratorSpec
from schemas.spec.generators.http import HttpGenerator

NEAREST_KEPT = 5
"""Answers kept for each photo of a candidate: those that a report may show."""


def drop_answers(generator: GeneratorSpec, store: RunStore) -> None:
    """Delete all answers but the evidence, if the spec asks for that: the nearest to candidates' photos.

    More samples of the same run need no others: the nearest of all are the nearest of some.
    """
    if isinstance(generator, HttpGenerator):
        kept = nearest_ids(store) if generator.keep == "evidence" else set()
        AnswerBook(generator, store.location).keep_only(kept)


def nearest_ids(store: RunStore) -> set[int]:
    """The samples nearest to each photo of a candidate."""
    gallery = store.read_table(GALLERY_FILE, ["identity", "role"])
    candidates = gallery.filter(pc.equal(gallery["role"], Role.CANDIDATE))["identity"]
    near = store.read_table(NEIGHBOURS_FILE, ["identity", "rank", "sample_id"])
    first = pc.and_(pc.less(near["rank"], NEAREST_KEPT), pc.is_in(near["identity"], candidates))
    return set(near.filter(first)["sample_id"].to_pylist())
