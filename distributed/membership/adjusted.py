"""Scores held against what people's properties lead one to expect: `membership.adjust`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from distributed.membership.evidence import PersonScores
from distributed.membership.frame import Frame, identity_face_size, identity_quality
from distributed.reduce.queries import ComparedPeople
from distributed.statistics.people.covariates import (
    Adjustment,
    adjustment,
    number_columns,
    separators,
    text_columns,
)
from distributed.statistics.people.roles import RoleTest, cross_fitted, role_test
from distributed.statistics.similarity import Floats
from schemas.spec.membership import PHOTOS, QUALITY, TEMPLATES, MembershipSpec

SEED = 0
FACE_SIZE = "face size"
"""A property of photos that no setting names: it is looked at, and not adjusted for."""
Adjustments = Mapping[tuple[str, str], list[Adjustment]]
"""(recogniser, score name) -> of each level; empty without `membership.adjust`."""


@dataclass(frozen=True)
class Properties:
    """columns: of all P people of the gallery by property, float64 (P, c). people: as they are compared."""

    columns: Mapping[str, Floats]
    people: Mapping[str, ComparedPeople]

    @classmethod
    def of(
        cls,
        frame: Frame,
        people: Mapping[str, ComparedPeople],
        attributes: Mapping[str, Mapping[str, str]],
    ) -> Properties:
        names = frame.gallery.names
        columns = {
            QUALITY: number_columns(identity_quality(frame.gallery)),
            PHOTOS: number_columns(frame.gallery.photos_per_identity().astype(np.float64)),
        }
        sizes = identity_face_size(frame.gallery)
        if not np.isnan(sizes).all():
            columns[FACE_SIZE] = number_columns(sizes)
        for name, values in attributes.items():
            columns[name] = text_columns([values.get(identity, "unknown") for identity in names])
        return cls(columns, people)

    def adjustments(
        self, scores: PersonScores, membership: MembershipSpec
    ) -> dict[tuple[str, str], list[Adjustment]]:
        """Of each score, what is expected of everybody, at each level of photos."""
        if not membership.adjust:
            return {}
        return {
            key: [self._adjustment(values[level], key[0], level, membership) for level in range(len(values))]
            for key, values in scores.items()
        }

    def _adjustment(
        self, scores: Floats, recognizer: str, level: int, membership: MembershipSpec
    ) -> Adjustment:
        columns = [self.columns[name] for name in membership.adjust if name != TEMPLATES]
        if TEMPLATES in membership.adjust:
            compared = self.people.get(recognizer, next(iter(self.people.values())))
            rows = compared.levels[level].astype(np.float64)
            middle = (scores - np.median(scores))[:, None]
            predicted = cross_fitted(rows - rows.mean(axis=0), middle, np.random.default_rng(SEED))
            columns.append(number_columns(predicted[:, 0]))
        return adjustment(scores, columns)

    def role_test(self, frame: Frame) -> RoleTest | None:
        """By the first recogniser's templates of the fewest photos, within strata; and what separates the
        sides, by how much of the classifier's predictions each property explains."""
        names = sorted({group.stratum for group in frame.groups})
        stratum = np.full(len(frame.gallery.names), -1, dtype=np.int64)
        for group in frame.groups:
            stratum[group.candidates] = stratum[group.cohort] = names.index(group.stratum)
        judged = np.flatnonzero(stratum >= 0)
        is_candidate = np.isin(judged, frame.candidates)
        templates = next(iter(self.people.values())).levels[0][judged]
        test = role_test(templates, is_candidate, stratum[judged])
        if test is None:
            return None
        places = judged[test.chosen]
        columns = {name: values[places] for name, values in self.columns.items()}
        return test.with_separators(separators(test.predicted, columns))


def adjusted(scores: PersonScores, adjustments: Adjustments) -> PersonScores:
    """The scores, each as `Adjustment.of` says."""
    if not adjustments:
        return scores
    return {
        key: np.stack([of.of(row) for of, row in zip(adjustments[key], values, strict=True)])
        for key, values in scores.items()
    }
