"""The gallery as samples are compared with it: by recogniser and number of photos, one template a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from distributed.gallery.enrolled import EnrolledGallery
from distributed.membership.frame import Frame
from distributed.reduce.centring import centred, fused
from distributed.reduce.margins import Twins
from distributed.reduce.queries import ComparedPeople
from distributed.statistics.people.operating_point import (
    OperatingPoint,
    operating_threshold,
    person_threshold,
)
from distributed.statistics.similarity import Floats, Singles
from schemas.run.tables import Role
from schemas.spec.membership import MembershipSpec

HIT_RATE = "hit_rate"


def compared_people(
    frame: Frame, centres: Mapping[str, Floats], membership: MembershipSpec
) -> dict[str, ComparedPeople]:
    """By recogniser. Thresholds of a hit are those of `operating_point`, if the spec asks for `hit_rate`."""
    gallery, compared = frame.gallery, {}
    for name, templates in gallery.templates.items():
        levels = [
            fused(templates, gallery.identity, gallery.rank, photos, centres[name]) for photos in frame.levels
        ]
        thresholds: list[float | None] = [None] * len(levels)
        if HIT_RATE in membership.scores:
            fmr = membership.hit_fmr
            thresholds = [
                operating_point(gallery, name, people, centres[name], fmr).threshold for people in levels
            ]
        compared[name] = ComparedPeople(centres[name], levels, thresholds)
    return compared


def operating_point(
    gallery: EnrolledGallery, recognizer: str, people: Singles, centre: Floats, fmr: float
) -> OperatingPoint:
    """The similarity that photos of the cohort have to other people of it at a rate of fmr.

    people: float32 (P, d), from `fused` by the same centre.
    """
    cohort = gallery.members_of(Role.COHORT)
    place = np.full(len(gallery.names), -1, dtype=np.int64)
    place[cohort] = np.arange(len(cohort))
    photos = np.flatnonzero(place[gallery.identity] >= 0)
    rows = centred(gallery.templates[recognizer][photos], centre)
    return person_threshold(
        people[cohort], np.arange(len(cohort)), rows, place[gallery.identity[photos]], fmr
    )


def operating_points(gallery: EnrolledGallery, fmr: float) -> dict[str, OperatingPoint]:
    """Each recogniser's threshold for two photos, from the cohort's own: what a biometric reader asks for."""
    cohort = np.isin(gallery.identity, gallery.members_of(Role.COHORT))
    return {
        name: operating_threshold(templates[cohort], gallery.identity[cohort], fmr)
        for name, templates in gallery.templates.items()
    }


def twins_of(gallery: EnrolledGallery, pairs: Iterable[tuple[str, str]]) -> Twins:
    """pairs: names of two people of the gallery, or of some who are left out of it."""
    index = {name: person for person, name in enumerate(gallery.names)}
    known = [(index[a], index[b]) for a, b in pairs if a in index and b in index]
    left, right = np.array(known, dtype=np.int64).reshape(-1, 2).T
    return Twins.of(left, right, len(gallery.names))
