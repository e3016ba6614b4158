"""Whom a candidate is compared with: cohort identities of the same stratum, with as many photos each."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distributed.statistics.calibration import cohort_needed
from distributed.statistics.similarity import Floats, Integers

# More photos than these gain little, and every level costs a search.
PHOTO_LEVELS = (1, 2, 4, 8, 16)
LEAST_SHARE = 0.5
EVERYBODY = "all"
OTHERS = "others"


@dataclass(frozen=True)
class Group:
    """Candidates and the cohort that calibrates them, each identity with exactly `photos` photos.

    candidates, cohort: int64, indices of identities, rising.
    """

    stratum: str
    photos: int
    candidates: Integers
    cohort: Integers


@dataclass(frozen=True)
class PhotoChoice:
    """Using `photos` photos of everybody: the cohort that has them, and whether it can flag one candidate."""

    photos: int
    cohort: int
    flags_one: bool


def photo_ranks(identity: Integers, keys: Sequence[str]) -> Integers:
    """Each photo's place among its identity's, int64 (g,), from 0, by the sha256 of its key.

    The first c photos are the subsample of c: a choice that nobody has made, the same in every run.
    """
    digests = b"".join(hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest() for key in keys)
    words = np.frombuffer(digests, ">u8").reshape(-1, 4)
    order = np.lexsort((*words.T[::-1], identity))
    grouped = identity[order]
    ranks = np.empty(len(keys), dtype=np.int64)
    ranks[order] = np.arange(len(keys)) - np.searchsorted(grouped, grouped)
    return ranks


def calibration_groups(
    photos: Integers, in_cohort: NDArray[np.bool_], strata: Sequence[str], wanted: int | None
) -> list[Group]:
    """Every candidate in one group, with the cohort identities that have at least as many photos.

    photos: int64 (i,), photos per identity; in_cohort: bool (i,); strata: (i,), as from `merged_strata`.
    wanted: the most photos used of an identity, or None: as many of PHOTO_LEVELS as the candidate has and at
    least LEAST_SHARE of the stratum's cohort has too. Identities with more give a subsample. Raises
    ValueError if a stratum has candidates but no cohort.
    """
    labels = np.asarray(strata)
    groups = []
    for stratum in sorted(set(labels[~in_cohort].tolist())):
        inside = labels == stratum
        cohort = np.flatnonzero(inside & in_cohort)
        candidates = np.flatnonzero(inside & ~in_cohort)
        if not len(cohort):
            raise ValueError(f"the stratum {stratum} has no cohort")
        counts, place = np.unique(photos[candidates], return_inverse=True)
        used = np.array([_photos_used(int(count), photos[cohort], wanted) for count in counts])[place]
        groups += [
            Group(stratum, int(c), candidates[used == c], cohort[photos[cohort] >= c])
            for c in np.unique(used)
        ]
    return groups


def _photos_used(has: int, cohort_has: Integers, wanted: int | None) -> int:
    if wanted is not None:
        return min(has, wanted, int(cohort_has.max()))
    good = [c for c in PHOTO_LEVELS if c <= has and (cohort_has >= c).mean() >= LEAST_SHARE]
    return max(good, default=1)


def photo_choices(photos: Integers, in_cohort: NDArray[np.bool_], fdr: float) -> list[PhotoChoice]:
    """What each number of photos up to the candidates' largest would give: fewer photos, larger cohort."""
    m = int((~in_cohort).sum())
    most = int(photos[~in_cohort].max(initial=1))
    cohorts = {c: int((photos[in_cohort] >= c).sum()) for c in PHOTO_LEVELS if c <= most}
    return [PhotoChoice(c, n, n >= cohort_needed(m, 1, fdr)) for c, n in cohorts.items()]


def quality_strata(quality: Floats, in_cohort: NDArray[np.bool_]) -> list[str]:
    """`low` to `high` capture quality, by thirds of the cohort's; `unknown` where quality (i,) is NaN."""
    names = ("low", "middle", "high")
    known = quality[in_cohort & ~np.isnan(quality)]
    if not len(known):
        return ["unknown"] * len(quality)
    cuts = np.quantile(known, np.arange(1, 3) / 3)
    place = np.searchsorted(cuts, quality, side="right")
    return ["unknown" if np.isnan(value) else names[bin_] for value, bin_ in zip(quality, place, strict=True)]


def merged_strata(strata: Sequence[str], in_cohort: NDArray[np.bool_], least: int) -> list[str]:
    """The strata, those with fewer than `least` cohort identities taken together as OTHERS.

    If OTHERS is still too small, the smallest other strata join it, until it is large enough or has
    everybody. Which strata merge depends on the cohort's counts alone, so validity is not touched.
    """
    counts = Counter(name for name, is_cohort in zip(strata, in_cohort, strict=True) if is_cohort)
    names = sorted(set(strata), key=lambda name: (counts[name], name))
    joined = [name for name in names if counts[name] < least]
    rest = [name for name in names if counts[name] >= least]
    while joined and rest and sum(counts[name] for name in joined) < least:
        joined.append(rest.pop(0))
    if not rest:
        return [EVERYBODY] * len(strata)
    return [OTHERS if name in joined else name for name in strata]
