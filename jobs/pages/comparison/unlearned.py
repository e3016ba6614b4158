"""Whether people who were to be removed are removed: run A before it, run B after."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import bootstrap, hypergeom

from distributed.statistics.set_membership import set_p_value
from distributed.statistics.similarity import Floats, Integers
from distributed.storage.results_file import Row
from jobs.pages.comparison.run_comparison import PersonPair, RunComparison
from jobs.pages.finished_run import FinishedRun, column
from schemas.errors import UsageError
from schemas.run.comparison import ForgottenPerson, GroupInRun, LeakAtK, Removal, UnlearnedResult
from schemas.run.results import Interval
from schemas.run.tables import Role, Verdict

PSEUDONYM = re.compile(r"[0-9a-f]{12,32}")
"""The whole of one, or its beginning, at least as much of it as pages show."""
LEAST_PEOPLE = 5
"""Of fewer people no interval of a mean is given."""
RESAMPLES = 2000


def forgotten_people(comparison: RunComparison, given: Sequence[str]) -> list[str]:
    """The pseudonyms, whole, each once. Raises UsageError for one that means nobody or several people."""
    known = [pair.identity for pair in comparison.pairs]
    forgotten = []
    for who in given:
        if not PSEUDONYM.fullmatch(who):
            raise UsageError(
                f"--unlearned {who}: give a candidate's pseudonym, or at least its first 12 characters; "
                "`idleak reveal` says whose is whose"
            )
        matches = [identity for identity in known if identity.startswith(who)]
        if len(matches) != 1:
            whom = "nobody" if not matches else f"{len(matches)} people"
            raise UsageError(f"--unlearned {who}: {whom} among the candidates of both runs; give another")
        forgotten.append(matches[0])
    return list(dict.fromkeys(forgotten))


def with_unlearned(comparison: RunComparison, given: Sequence[str]) -> RunComparison:
    """The comparison with what became of these people, if any. Raises UsageError as `forgotten_people`."""
    if not given:
        return comparison
    return replace(comparison, unlearned=unlearned_result(comparison, forgotten_people(comparison, given)))


def unlearned_result(comparison: RunComparison, forgotten: Sequence[str]) -> UnlearnedResult:
    """forgotten: from `forgotten_people`; everybody else among the candidates is retained."""
    names = set(forgotten)
    retained = [pair.identity for pair in comparison.pairs if pair.identity not in names]
    groups = [
        _group(run, people)
        for people in (forgotten, retained)
        for run in (comparison.first, comparison.second)
    ]
    return UnlearnedResult(
        people=[_person(comparison, pair) for pair in comparison.pairs if pair.identity in names],
        forgotten_before=groups[0],
        forgotten_after=groups[1],
        retained_before=groups[2],
        retained_after=groups[3],
    )


def leak_at_k(hits: Integers, samples: int, k: int) -> Floats:
    """The chance that one of k samples hits a person, float64 (m,); hits: int64 (m,), of `samples` samples.

    Leak@k of Reisizadeh et al. 2025 (arXiv 2511.04934) is the expected largest leak of k generations; a hit
    leaks or does not, so that it is the chance of one or more. Estimated without bias by
    1 - C(samples - hits, k) / C(samples, k), as pass@k is (Chen et al. 2021, arXiv 2107.03374, equation 1):
    the chance of a hit among k samples drawn from all without replacement.
    """
    leaks: Floats = hypergeom.sf(0, samples, hits, k)
    return leaks


def ks_of(samples: int) -> list[int]:
    """The three largest powers of ten for which there are ten times as many samples; 1 of fewer."""
    powers = [10**power for power in range(1, 12) if 10 ** (power + 1) <= samples]
    return powers[-3:] or [1]


def _person(comparison: RunComparison, pair: PersonPair) -> ForgottenPerson:
    return ForgottenPerson(
        identity=pair.identity,
        was_flagged=pair.first["verdict"] == Verdict.LEAKED,
        removal=_removal(pair.second),
        cleared_before=pair.first["cleared_at"],
        cleared_after=pair.second["cleared_at"],
        leak_before=_leak_of_person(comparison.first, pair.hits_first),
        leak_after=_leak_of_person(comparison.second, pair.hits_second),
    )


def _removal(after: Row) -> Removal:
    if after["verdict"] == Verdict.LEAKED:
        return Removal.STILL_THERE
    return Removal.UNKNOWN if after["cleared_at"] is None else Removal.CLEARED


def _leak_of_person(run: FinishedRun, hits: Row) -> LeakAtK:
    """At the largest k, with the interval of the rate of hits."""
    samples = run.results.samples.rows
    k = ks_of(samples)[-1]
    value = leak_at_k(np.array([hits["hits"]]), samples, k)[0]
    low, high = (_at_rate(hits[name], k) for name in ("per_million_low", "per_million_high"))
    return LeakAtK(
        k=k,
        share=Interval(value=value, low=low, high=high),
        by_chance=_at_rate(hits["expected_per_million"], k),
    )


def _at_rate(per_million: float, k: int) -> float:
    """The chance of a hit among k samples at a known rate."""
    return float(-np.expm1(k * np.log1p(-min(per_million / 1e6, 1 - 1e-16))))


def _group(run: FinishedRun, people: Sequence[str]) -> GroupInRun:
    candidates = run.people(run.headline)
    chosen = candidates.filter(pc.is_in(candidates["identity"], pa.array(people, pa.string())))
    return GroupInRun(
        people=len(people),
        flagged=pc.sum(pc.equal(chosen["verdict"], Verdict.LEAKED)).as_py() or 0,
        cleared=len(chosen) - chosen["cleared_at"].null_count,
        score=_mean(column(chosen, "score")) if people else None,
        set_p_value=_set_p_value(run, chosen) if people else None,
        leak_at_k=[_leak_of_group(run, people, k) for k in ks_of(run.results.samples.rows)] if people else [],
    )


def _mean(values: Floats) -> Interval:
    """With a percentile bootstrap interval of 95 % over people.

    Of fewer than LEAST_PEOPLE, or equal ones, it goes from the smallest to the largest.
    """
    mean = float(values.mean())
    if len(values) < LEAST_PEOPLE or values.min() == values.max():
        return Interval(value=mean, low=float(values.min()), high=float(values.max()))
    interval = bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, method="percentile", random_state=np.random.default_rng(0)
    )
    return Interval(value=mean, low=interval.confidence_interval.low, high=interval.confidence_interval.high)


def _set_p_value(run: FinishedRun, chosen: pa.Table) -> float:
    """Of these people together against the cohort, within the groups in which people are calibrated."""
    cohort = run.people(run.headline, Role.COHORT)
    sides: tuple[list[Floats], list[Floats]] = ([], [])
    keys = sorted(set(zip(chosen["stratum"].to_pylist(), chosen["photos"].to_pylist(), strict=True)))
    for stratum, photos in keys:
        for side, table in zip(sides, (chosen, cohort), strict=True):
            inside = pc.and_(pc.equal(table["stratum"], stratum), pc.equal(table["photos"], photos))
            side.append(column(table.filter(inside), "score"))
    return set_p_value(*sides, seed=int(run.results.spec["seed"]))


def _leak_of_group(run: FinishedRun, people: Sequence[str], k: int) -> LeakAtK:
    """The mean over people, each asked for alone."""
    rates, samples = run.rates_by_identity(), run.results.samples.rows
    leaks = leak_at_k(np.array([rates[identity]["hits"] for identity in people]), samples, k)
    expected = np.mean([_at_rate(rates[identity]["expected_per_million"], k) for identity in people])
    return LeakAtK(k=k, share=_mean(leaks), by_chance=float(expected))
