"""Everybody of a finished audit whose label is known, with scores that do not depend on roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from distributed.gallery.enrolled import EnrolledGallery, enrolled_gallery
from distributed.gallery.labels import labels_of
from distributed.membership.comparison import compared_people, twins_of
from distributed.membership.frame import Frame
from distributed.membership.scores import EQUIVARIANT_SCORES, Evidence, person_scores
from distributed.reduce.margins import Twins
from distributed.stages.judging.committed import committed
from distributed.stages.passes import Passes
from distributed.statistics.matching import EVERYBODY, PHOTO_LEVELS, Group
from distributed.statistics.similarity import Floats, Integers
from distributed.storage.store import open_run
from schemas.errors import SpecError
from schemas.run.tables import Role
from schemas.spec.audit import AuditSpec
from schemas.spec.membership import MembershipSpec

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class People:
    """Everybody whose label is known. member: bool (P,); others without a label have no part in any draw.

    scores: (recognizer, score, samples) -> of all people at each of PHOTO_LEVELS, float64 (l, P). They do
    not depend on roles, so they are computed once.
    """

    gallery: EnrolledGallery
    member: Flags
    known: Flags
    membership: MembershipSpec
    scores: Mapping[tuple[str, str, int], Floats]

    @property
    def levels(self) -> tuple[int, ...]:
        """Numbers of photos that people may be compared with."""
        photos = self.membership.photos
        return PHOTO_LEVELS if photos == "auto" else tuple(range(1, photos + 1))

    @property
    def candidates(self) -> int:
        """How many others are candidates in each draw: as many as in the audit."""
        side = np.array([role is Role.CANDIDATE for role in self.gallery.roles])
        return int((side & self.known & ~self.member).sum())

    def of_levels(self, key: tuple[str, str, int], levels: Sequence[int]) -> Floats:
        """Scores at these numbers of photos, float64 (l, P)."""
        return self.scores[key][[self.levels.index(photos) for photos in levels]]

    def without(self, left_out: Integers) -> People:
        known = self.known.copy()
        known[left_out] = False
        return replace(self, known=known)


def people_of(spec: AuditSpec, samples: Sequence[int]) -> People:
    """The people of a finished audit, scored by its first samples, so many at a time."""
    names = [name for name in spec.membership.scores if name in EQUIVARIANT_SCORES - {"calibrated"}]
    labels = labels_of(spec)
    if labels is None or not names:
        raise SpecError("this bench needs gallery.labels, and margin, max or topk_mean in membership.scores")
    membership = spec.membership.model_copy(update={"scores": tuple(names), "strata": ()})
    store = open_run(spec)
    enrolment = committed(spec, store).enrolment
    gallery = enrolled_gallery(enrolment.compared, [r.name for r in spec.faces.recognizers])
    in_cohort = np.array([role is Role.COHORT for role in gallery.roles])
    known = in_cohort | np.array([name in labels for name in gallery.names])
    member = np.array([labels.get(name, False) for name in gallery.names]) & ~in_cohort
    people = People(gallery, member, known, membership, {})
    if not member.any() or not people.candidates:
        raise SpecError(f"{spec.gallery.labels} must label candidates as members and as others, both")
    twins = twins_of(gallery, [pair.people for pair in enrolment.overlap.matches.found])
    cuts = tuple(sorted({min(cut, spec.samples) for cut in samples} or {spec.samples}))
    passes = Passes.here(spec, store)
    return replace(people, scores=_scores(people, passes, twins, cuts))


def _scores(
    people: People, passes: Passes, twins: Twins, cuts: tuple[int, ...]
) -> dict[tuple[str, str, int], Floats]:
    nobody, membership = np.empty(0, np.int64), people.membership
    groups = [Group(EVERYBODY, photos, nobody, nobody) for photos in people.levels]
    compared = compared_people(Frame(people.gallery, groups, nobody, nobody), passes.centres(), membership)
    scores: dict[tuple[str, str, int], Floats] = {}
    for cut, partials in zip(cuts, passes.search(compared, twins, cuts), strict=True):
        for recognizer, levels in partials.items():
            dimension = compared[recognizer].levels[0].shape[1]
            evidence = [Evidence(partial, membership.topk, dimension) for partial in levels]
            by_level = [person_scores(of_level, membership.scores) for of_level in evidence]
            for name in membership.scores:
                scores[recognizer, name, cut] = np.stack([values[name] for values in by_level])
    return scores
