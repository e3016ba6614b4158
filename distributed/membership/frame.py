"""The gallery as it is calibrated: who is compared with whom, and at how many photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distributed.gallery.enrolled import EnrolledGallery
from distributed.statistics.calibration import conformal_p_values
from distributed.statistics.drift import Drift, drift
from distributed.statistics.matching import (
    EVERYBODY,
    Group,
    calibration_groups,
    merged_strata,
    quality_strata,
)
from schemas.run.tables import Role
from schemas.spec.membership import QUALITY, MembershipSpec

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Frame:
    """The gallery and how it is calibrated. candidates: int64 (m,), the indices of all candidates, rising.
    group_of: int64 (m,), each candidate's group."""

    gallery: EnrolledGallery
    groups: Sequence[Group]
    candidates: Integers
    group_of: Integers

    @property
    def levels(self) -> tuple[int, ...]:
        return tuple(sorted({group.photos for group in self.groups}))

    def level_of(self, group: Group) -> int:
        return self.levels.index(group.photos)


def calibration_frame(
    gallery: EnrolledGallery, membership: MembershipSpec, attributes: Mapping[str, Mapping[str, str]]
) -> Frame:
    """Strata, then groups of equal numbers of photos. attributes: column -> identity -> value."""
    in_cohort = np.array([role is Role.COHORT for role in gallery.roles])
    strata = [EVERYBODY] * len(gallery.names)
    if membership.strata:
        columns = [_stratum_column(gallery, in_cohort, name, attributes) for name in membership.strata]
        named = [", ".join(values) for values in zip(*columns, strict=True)]
        strata = merged_strata(named, in_cohort, membership.least_stratum)
    wanted = None if membership.photos == "auto" else membership.photos
    groups = calibration_groups(gallery.photos_per_identity(), in_cohort, strata, wanted)
    candidates = np.flatnonzero(~in_cohort).astype(np.int64)
    group_of = np.full(len(gallery.names), -1, dtype=np.int64)
    for index, group in enumerate(groups):
        group_of[group.candidates] = index
    return Frame(gallery, groups, candidates, group_of[candidates])


def _stratum_column(
    gallery: EnrolledGallery,
    in_cohort: NDArray[np.bool_],
    name: str,
    attributes: Mapping[str, Mapping[str, str]],
) -> list[str]:
    if name == QUALITY:
        values = quality_strata(identity_quality(gallery), in_cohort)
    else:
        values = [attributes[name].get(identity, "unknown") for identity in gallery.names]
    return [f"{name}={value}" for value in values]


def identity_quality(gallery: EnrolledGallery) -> Floats:
    """The mean detection score of each identity's photos, float64 (i,); NaN where nothing was detected."""
    return _mean_of_photos(gallery, gallery.detection_score)


def identity_face_size(gallery: EnrolledGallery) -> Floats:
    """The mean size of each identity's faces, in pixels, float64 (i,); NaN where one is not known."""
    return _mean_of_photos(gallery, gallery.face_size)


def _mean_of_photos(gallery: EnrolledGallery, values: Floats) -> Floats:
    counts = gallery.photos_per_identity()
    means: Floats = np.bincount(gallery.identity, weights=values, minlength=len(counts)) / counts
    return means


@dataclass(frozen=True)
class Calibrated:
    """Scores and conformal p-values of m candidates, and the scores of each group's cohort."""

    score: Floats
    p_value: Floats
    floor: Floats
    cohort: Sequence[Floats]


def calibrate(frame: Frame, scores: Floats) -> Calibrated:
    """Compare each candidate with the cohort of their group, at the group's number of photos.

    scores: float64 (l, P), of all people at each level.
    """
    score, p_value, floor = (np.empty(len(frame.candidates)) for _ in range(3))
    cohorts = []
    for index, group in enumerate(frame.groups):
        values = scores[frame.level_of(group)]
        in_group = frame.group_of == index
        score[in_group] = values[frame.candidates[in_group]]
        cohorts.append(values[group.cohort])
        p_value[in_group] = conformal_p_values(score[in_group], cohorts[-1])
        floor[in_group] = 1 / (len(group.cohort) + 1)
    return Calibrated(score, p_value, floor, cohorts)


def drifts_of(frame: Frame) -> list[Drift]:
    """In what the candidates' photos differ from the cohort's."""
    gallery = frame.gallery
    cohort = gallery.members_of(Role.COHORT)
    columns = {
        "photos per identity": gallery.photos_per_identity().astype(np.float64),
        "detection score": identity_quality(gallery),
        "face size": identity_face_size(gallery),
    }
    comparisons = [drift(name, values[frame.candidates], values[cohort]) for name, values in columns.items()]
    return [comparison for comparison in comparisons if comparison is not None]
