"""Is a person in the gallery twice? Photos, templates and names of its people, compared with each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from distributed.gallery.duplicates import (
    KeyedPhoto,
    alike_names,
    file_keys,
    repeated_photos,
    require_different_photos,
    template_keys,
)
from distributed.gallery.enrolled import EnrolledGallery, enrolled_gallery
from distributed.gallery.source import GallerySource
from distributed.statistics.people.same_people import (
    CHANCE_PAIRS,
    LEAST_PEOPLE,
    People,
    chance_threshold,
    left_out,
    matching_pairs,
    mated_level,
    noticeable_share,
    own_similarity,
    photo_similarity,
    strangers_level,
)
from distributed.statistics.similarity import Pairs
from schemas.errors import SpecError
from schemas.run.overlap import (
    MatchesResult,
    MatchingPeople,
    OddPhoto,
    OddPhotosResult,
    OverlapResult,
    RepeatedPhotos,
)
from schemas.run.tables import Role
from schemas.spec.audit import AuditSpec

LARGEST_ODD_SHARE = 0.1
"""Of photos unlike the person's others: above it the recogniser is at fault, not the photos."""
LEAST_COHORT = 2


def require_each_once(spec: AuditSpec, source: GallerySource, table: pa.Table | None = None) -> None:
    """Raise SpecError if a photo is in the gallery under two people.

    By the files' digests; and by templates where a side is given as an earlier gallery, so that its files are
    not available. table: of `gallery.parquet`; None before photos are embedded.
    """
    require_different_photos(file_keys(source))
    if table is not None and (sides := _sides_without_files(spec)):
        require_different_photos(template_keys(table, _recognizer(spec)), sides)


def _sides_without_files(spec: AuditSpec) -> list[Role]:
    sides = ((Role.CANDIDATE, spec.gallery.candidates), (Role.COHORT, spec.gallery.cohort))
    return [role for role, side in sides if not side.has_photos]


def _recognizer(spec: AuditSpec) -> str:
    """The headline's: a person is the same person to all recognisers, and one threshold is needed."""
    return spec.faces.recognizers[0].name


def gallery_overlap(
    spec: AuditSpec, source: GallerySource, table: pa.Table, names: Mapping[str, str]
) -> OverlapResult:
    """Who may be in the gallery twice, and who of the cohort is left out for it.

    It follows from the gallery and the spec alone, so that every job comes to the same. table: of
    `gallery.parquet`; names: of those of its people whose names are known. Raises SpecError if fewer than two
    of the cohort would be left.
    """
    recognizer = _recognizer(spec)
    gallery = enrolled_gallery(table, [recognizer])
    people = People.of(gallery.templates[recognizer], gallery.identity)
    in_cohort = np.array([role is Role.COHORT for role in gallery.roles])
    compared = compare_people(people, recognizer)
    out = np.flatnonzero(left_out(compared.pairs, in_cohort, people.counts)).tolist()
    _require_cohort(int(in_cohort.sum()), len(out))
    keys = [*file_keys(source), *_keys_without_files(spec, table)]
    everybody = set(gallery.names)
    known = {key: name for key, name in names.items() if key in everybody}
    return OverlapResult(
        recognizer=recognizer,
        matches=_matches(compared, gallery, people, out),
        left_out=[gallery.names[person] for person in out],
        alike_names=alike_names(known),
        repeated_photos=[
            RepeatedPhotos(identity=name, photos=photos) for name, photos in repeated_photos(keys)
        ],
        odd_photos=_odd_photos(gallery, people),
    )


@dataclass(frozen=True)
class ComparedPeople:
    """The pairs of rows of `people` that match, and by which levels; unchecked: why nobody was compared."""

    pairs: Pairs
    threshold: float | None
    mated: float | None
    noticeable: float | None
    unchecked: str | None


def compare_people(people: People, recognizer: str) -> ComparedPeople:
    """Compare everybody with everybody, unless the gallery cannot say what chance gives."""
    count, own = len(people.counts), own_similarity(people)
    mated = mated_level(own)
    if count < LEAST_PEOPLE:
        why = f"{count} people are too few to tell how alike two people are by chance"
        return ComparedPeople(Pairs.none(), None, mated, None, why)
    threshold = chance_threshold(people)
    if threshold is None:
        why = f"by {recognizer}, templates of two people may be as alike as those of one"
        return ComparedPeople(Pairs.none(), None, mated, None, why)
    noticeable = None if mated is None else noticeable_share(people, own, threshold, mated)
    return ComparedPeople(
        matching_pairs(people, threshold, mated), threshold, mated, noticeable, unchecked=None
    )


def _matches(
    compared: ComparedPeople, gallery: EnrolledGallery, people: People, out: Sequence[int]
) -> MatchesResult:
    gone, pairs = set(out), compared.pairs
    rows = zip(pairs.left.tolist(), pairs.right.tolist(), pairs.similarity.tolist(), strict=True)
    return MatchesResult(
        people=len(people.counts),
        pairs=people.pairs,
        chance_pairs=CHANCE_PAIRS,
        threshold=compared.threshold,
        mated_level=compared.mated,
        noticeable=compared.noticeable,
        unchecked=compared.unchecked,
        found=[
            MatchingPeople(
                people=(gallery.names[left], gallery.names[right]),
                roles=(gallery.roles[left], gallery.roles[right]),
                similarity=similarity,
                left_out=[gallery.names[person] for person in (left, right) if person in gone],
            )
            for left, right, similarity in rows
        ],
    )


def _require_cohort(cohort: int, out: int) -> None:
    if cohort - out < LEAST_COHORT:
        raise SpecError(
            f"{out} of the {cohort} people of the cohort match a candidate, or another one of the cohort, as "
            f"photos of one person do; fewer than {LEAST_COHORT} are left: give a cohort of other people"
        )


def _keys_without_files(spec: AuditSpec, table: pa.Table) -> list[KeyedPhoto]:
    sides = _sides_without_files(spec)
    return (
        [
            template_key
            for template_key in template_keys(table, _recognizer(spec))
            if template_key.role in sides
        ]
        if sides
        else []
    )


def _odd_photos(gallery: EnrolledGallery, people: People) -> OddPhotosResult | None:
    similarity = photo_similarity(people)
    several = int((~np.isnan(similarity)).sum())
    if not several or len(people.counts) < 2:
        return None
    level = strangers_level(people)
    odd = np.flatnonzero(similarity < level).tolist()
    share = len(odd) / several
    return OddPhotosResult(
        level=level,
        share=share,
        photos=[
            OddPhoto(
                identity=gallery.names[int(gallery.identity[row])],
                photo=gallery.photos[row],
                similarity=float(similarity[row]),
            )
            for row in (odd if share <= LARGEST_ODD_SHARE else ())
        ],
    )
