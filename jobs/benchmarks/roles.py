"""`idleak bench roles`: how often flags are false, by an audit with labels whose roles are drawn anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from distributed.execution.executor import Unobserved
from distributed.execution.local import LocalExecutor
from distributed.gallery.enrolled import EnrolledGallery, enrolled_gallery
from distributed.gallery.labels import read_labels
from distributed.membership.comparison import compared_people, twins_of
from distributed.membership.correction import correction_of
from distributed.membership.frame import Frame, calibrate, identity_quality
from distributed.membership.scores import EQUIVARIANT_SCORES, Evidence, person_scores
from distributed.membership.verdicts import flagged
from distributed.reduce.margins import Twins
from distributed.stages.judging.committed import committed
from distributed.stages.passes import Passes
from distributed.statistics.matching import (
    EVERYBODY,
    PHOTO_LEVELS,
    Group,
    calibration_groups,
    merged_strata,
)
from distributed.statistics.similarity import Floats, Integers
from distributed.storage.store import open_run
from distributed.storage.vault import Vault
from jobs.benchmarks.table import Bar, Measured, Report, Table, publish
from jobs.cli.exit_codes import ExitCode
from schemas.errors import SpecError
from schemas.run.tables import Role
from schemas.spec.audit import AuditSpec
from schemas.spec.membership import MembershipSpec

PARTS = 10
"""Of the people, each left out once: how much the figures hang on who these people are."""
SKEW = 0.7
"""Share of the candidates who are no members that a hostile split takes from the upper half of them."""
Flags = NDArray[np.bool_]
Asked = Literal["bh", "auto"]
CORRECTIONS: tuple[Asked, ...] = get_args(Asked)
"""auto: Storey's where a draw has one group of candidates, as in an audit; else Benjamini-Hochberg."""


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


@dataclass(frozen=True)
class Split:
    """How roles are drawn. upper: bool (P,), from whom a hostile split takes more candidates; strata: whether
    people are calibrated within the upper and the lower half."""

    name: str
    upper: Flags | None = None
    strata: bool = False
    members: bool = True

    @property
    def promised(self) -> bool:
        """Whether candidates who are no members and the cohort are exchangeable."""
        return self.upper is None


@dataclass(frozen=True)
class Rates:
    """Means over draws: of the share of false flags, of the share of members flagged, and of whether any flag
    is false."""

    false_share: float
    power: float
    any_false: float

    @classmethod
    def mean(cls, draws: Sequence[tuple[float, float, float]]) -> Rates:
        return cls(*np.mean(np.array(draws), axis=0).tolist())


def bench_roles(
    spec: AuditSpec, draws: int, samples: Sequence[int], output: Path | None, command: Sequence[str]
) -> ExitCode:
    """Draw who is a candidate `draws` times. FAILED if the mean share of false flags passes the spec's FDR.

    Raises SpecError unless the audit is finished and its spec has labels.
    """
    people, rows, bars = people_of(spec, samples), [], []
    for key, split, correction in _rows(people):
        measured = _with_spread(people, key, split, correction, draws)
        means = [str(measured[0]), str(measured[1]) if split.members else "", str(measured[2])]
        rows.append((key[0], key[1], f"{key[2]:,}", correction, split.name, *means))
        if split.promised:
            claim = f"{key[1]} of {key[0]}, {key[2]:,} samples, {correction}, {split.name}: false share"
            bars.append(Bar(claim, measured[0], spec.membership.fdr, at_most=True))
    columns = ("recognizer", "score", "samples", "correction", "roles", *MEANS)
    title = f"Roles drawn {draws:,} times, {people.candidates} others among the candidates"
    return publish(Report(command, 0, [Table(title, columns, rows)], bars, NOTES), output)


MEANS = ("false share", "power", "any false")
NOTES = [
    "Means over draws, in brackets their 95 % intervals over people: the people fall into"
    f" {PARTS} parts, each of which is left out once (jackknife).",
    "Members stay candidates. The others, candidates and cohort of the audit together, are dealt out anew.",
    f"A hostile split takes {SKEW:.0%} of the candidates who are no members from the upper half of the"
    " others: then candidates and cohort are not exchangeable, and nothing is promised.",
    "`nobody leaked`: no member is among the candidates, and any flag is false.",
]


def people_of(spec: AuditSpec, samples: Sequence[int]) -> People:
    """The people of a finished audit, scored by its first samples, so many at a time."""
    names = [name for name in spec.membership.scores if name in EQUIVARIANT_SCORES - {"calibrated"}]
    if spec.gallery.labels is None or not names:
        raise SpecError("this bench needs gallery.labels, and margin, max or topk_mean in membership.scores")
    membership = spec.membership.model_copy(update={"scores": tuple(names), "strata": ()})
    store = open_run(spec)
    _, enrolment = committed(spec, store)
    gallery = enrolled_gallery(enrolment.compared, [r.name for r in spec.faces.recognizers])
    labels = read_labels(Path(spec.gallery.labels), Vault(spec.protection))
    in_cohort = np.array([role is Role.COHORT for role in gallery.roles])
    known = in_cohort | np.array([name in labels for name in gallery.names])
    member = np.array([labels.get(name, False) for name in gallery.names]) & ~in_cohort
    people = People(gallery, member, known, membership, {})
    if not member.any() or not people.candidates:
        raise SpecError(f"{spec.gallery.labels} must label candidates as members and as others, both")
    twins = twins_of(gallery, [pair.people for pair in enrolment.overlap.matches.found])
    cuts = tuple(sorted({min(cut, spec.samples) for cut in samples} or {spec.samples}))
    passes = Passes(spec, store, LocalExecutor(), Unobserved())
    return replace(people, scores=_scores(people, passes, twins, cuts))


def _scores(
    people: People, passes: Passes, twins: Twins, cuts: tuple[int, ...]
) -> dict[tuple[str, str, int], Floats]:
    nobody, membership = np.empty(0, np.int64), people.membership
    groups = [Group(EVERYBODY, photos, nobody, nobody) for photos in people.levels]
    compared = compared_people(Frame(people.gallery, groups, nobody, nobody), passes.centres(), membership)
    scores: dict[tuple[str, str, int], Floats] = {}
    for recognizer, levels in passes.search(compared, twins, cuts).items():
        dimension = compared[recognizer].levels[0].shape[1]
        for place, cut in enumerate(cuts):
            evidence = [Evidence(level[place], membership.topk, dimension) for level in levels]
            by_level = [person_scores(of_level, membership.scores) for of_level in evidence]
            for name in membership.scores:
                scores[recognizer, name, cut] = np.stack([values[name] for values in by_level])
    return scores


def _splits(people: People) -> Iterator[Split]:
    yield Split("at random")
    yield Split("at random, nobody leaked", members=False)
    others = people.known & ~people.member
    columns = {
        "photos": people.gallery.photos_per_identity().astype(np.float64),
        "detection score": identity_quality(people.gallery),
    }
    for name, values in columns.items():
        upper = values > np.median(values[others])
        if upper[others].any() and not np.isnan(values[others]).any():
            for strata in (False, True):
                how = "strata" if strata else "no strata"
                yield Split(f"hostile by {name}, {how}, nobody leaked", upper, strata, members=False)


def _rows(people: People) -> Iterator[tuple[tuple[str, str, int], Split, Asked]]:
    for key in people.scores:
        for split in _splits(people):
            for correction in CORRECTIONS:
                yield key, split, correction


def _with_spread(
    people: People, key: tuple[str, str, int], split: Split, correction: Asked, draws: int
) -> list[Measured]:
    """Each of MEANS with the ends of its interval."""
    whole = _rates(people, key, split, correction, draws)
    order = np.random.default_rng(0).permutation(np.flatnonzero(people.known))
    parts = [
        _rates(people.without(part), key, split, correction, draws) for part in np.array_split(order, PARTS)
    ]
    spread = []
    for name in ("false_share", "power", "any_false"):
        value, values = getattr(whole, name), np.array([getattr(part, name) for part in parts])
        error = 1.96 * float(np.sqrt((PARTS - 1) / PARTS * ((values - values.mean()) ** 2).sum()))
        spread.append(Measured((max(0.0, value - error), value, min(1.0, value + error))))
    return spread


def _rates(people: People, key: tuple[str, str, int], split: Split, correction: Asked, draws: int) -> Rates:
    random = np.random.default_rng(0)
    membership = people.membership.model_copy(update={"correction": correction})
    outcomes = []
    for _ in range(draws):
        frame = frame_of(people, _drawn(people, split, random), split)
        calibrated = calibrate(frame, people.of_levels(key, frame.levels))
        how = correction_of(frame, key[1], membership)
        flags = flagged(calibrated.p_value, calibrated.floor, fdr=membership.fdr, correction=how)
        outcomes.append(_outcome(flags, people.member[frame.candidates]))
    return Rates.mean(outcomes)


def _drawn(people: People, split: Split, random: np.random.Generator) -> Integers:
    """The others who are candidates."""
    others, count = np.flatnonzero(people.known & ~people.member), people.candidates
    if split.upper is None:
        return random.choice(others, count, replace=False)
    upper, lower = others[split.upper[others]], others[~split.upper[others]]
    from_upper = min(len(upper) - 1, round(SKEW * count))
    chosen = (
        random.choice(upper, from_upper, replace=False),
        random.choice(lower, count - from_upper, replace=False),
    )
    return np.concatenate(chosen)


def frame_of(people: People, others: Integers, split: Split) -> Frame:
    """The members, if they take part, and these others as candidates, and all others as their cohort."""
    taking_part = np.flatnonzero(people.known & (~people.member | split.members))
    in_cohort = ~people.member[taking_part] & ~np.isin(taking_part, others)
    strata = [EVERYBODY] * len(taking_part)
    if split.strata and split.upper is not None:
        halves = ["upper" if upper else "lower" for upper in split.upper[taking_part]]
        strata = merged_strata(halves, in_cohort, people.membership.least_stratum)
    photos = people.gallery.photos_per_identity()[taking_part]
    wanted = None if people.membership.photos == "auto" else people.membership.photos
    groups = [
        replace(group, candidates=taking_part[group.candidates], cohort=taking_part[group.cohort])
        for group in calibration_groups(photos, in_cohort, strata, wanted)
    ]
    candidates = taking_part[~in_cohort]
    group_of = np.empty(len(candidates), np.int64)
    for index, group in enumerate(groups):
        group_of[np.isin(candidates, group.candidates)] = index
    return Frame(people.gallery, groups, candidates, group_of)


def _outcome(flags: Flags, member: Flags) -> tuple[float, float, float]:
    """The share of members flagged is 0 if there are none."""
    false = int((flags & ~member).sum())
    power = float(flags[member].mean()) if member.any() else 0.0
    return false / max(1, int(flags.sum())), power, float(false > 0)
