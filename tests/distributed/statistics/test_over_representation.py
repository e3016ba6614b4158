from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, kstest

from distributed.statistics.calibration import benjamini_hochberg, conformal_p_values
from distributed.statistics.over_representation import (
    more_than_cohort,
    over_representation,
    standing,
    tail_p_values_of_hits,
)
from distributed.statistics.similarity import Floats, Integers

CANDIDATES, COHORT, SAMPLES, FDR = 158, 452, 60_000, 0.05
PEOPLE = CANDIDATES + COHORT
COUNTS = st.lists(st.integers(0, 200), min_size=1, max_size=60)

Rates = Callable[[np.random.Generator], Floats]


def gamma_rates(shape: float, mean: float) -> Rates:
    return lambda random: random.gamma(shape, mean / shape, PEOPLE)


def lognormal_rates(sigma: float, median: float) -> Rates:
    return lambda random: median * np.exp(sigma * random.standard_normal(PEOPLE))


def hits_from(rates: Rates, random: np.random.Generator) -> Integers:
    return random.binomial(SAMPLES, np.minimum(rates(random) / SAMPLES, 1.0)).astype(np.int64)


def hits_around_hubs(d: int, hubs: int, pull: float, random: np.random.Generator) -> tuple[Integers, int]:
    """Hits of 5,000 samples at the cohort's FMR 1e-4; people and samples lie around the same hubs."""
    centre = random.standard_normal((hubs, d))
    centre /= np.linalg.norm(centre, axis=1, keepdims=True)

    def draw(n: int) -> Floats:
        near = random.choice(hubs, n, p=random.dirichlet(np.ones(hubs)))
        rows = pull * random.uniform(0.3, 1, (n, 1)) * centre[near] + random.standard_normal((n, d)) / d**0.5
        unit: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit

    people, samples = draw(PEOPLE).astype(np.float32), draw(5000).astype(np.float32)
    cohort = people[CANDIDATES:]
    threshold = np.quantile((cohort @ cohort.T)[np.triu_indices(COHORT, 1)], 1 - 1e-4)
    return (samples @ people.T >= threshold).sum(axis=0).astype(np.int64), len(samples)


def flagged(hits: Integers) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return more_than_cohort(tail_p_values_of_hits(hits[:CANDIDATES], hits[CANDIDATES:]), FDR)


def allowed(worlds: int) -> float:
    return FDR + 3 * float(np.sqrt(FDR * (1 - FDR) / worlds))


@pytest.mark.parametrize(
    "rates",
    [
        gamma_rates(0.2, 6),
        gamma_rates(1, 6),
        gamma_rates(5, 100),
        lognormal_rates(0.5, 6),
        lognormal_rates(1, 6),
        lognormal_rates(1, 100),
        lognormal_rates(1.5, 6),
        lognormal_rates(2, 2),
        lognormal_rates(2, 0.1),
        lognormal_rates(2, 0.01),
        lognormal_rates(2, 100),
    ],
)
def test_few_worlds_without_members_have_a_flag(rates: Rates) -> None:
    random, worlds = np.random.default_rng(0), 400
    assert np.mean([flagged(hits_from(rates, random)).any() for _ in range(worlds)]) <= allowed(worlds)


@pytest.mark.parametrize(
    ("d", "hubs", "pull"), [(32, 4, 0.7), (64, 12, 1.2), (64, 1, 0.7), (128, 6, 0.3), (128, 4, 0.7)]
)
def test_few_worlds_of_people_around_hubs_have_a_flag(d: int, hubs: int, pull: float) -> None:
    random, worlds = np.random.default_rng(1), 30
    flags = [flagged(hits_around_hubs(d, hubs, pull, random)[0]).any() for _ in range(worlds)]
    assert np.mean(flags) <= allowed(worlds)


def test_one_who_makes_several_percent_of_the_samples_is_flagged_where_conformal_p_values_cannot() -> None:
    random = np.random.default_rng(2)
    for rates in (gamma_rates(0.2, 6), gamma_rates(1, 6), lognormal_rates(1, 6), lognormal_rates(0.5, 0.05)):
        flags = []
        for _ in range(50):
            hits = hits_from(rates, random)
            hits[0] = 0.05 * SAMPLES
            p = conformal_p_values(hits[:CANDIDATES].astype(float), hits[CANDIDATES:].astype(float))
            assert (benjamini_hochberg(p) > FDR).all()
            flags.append(flagged(hits)[0])
        assert np.mean(flags) >= 0.95


def test_one_who_makes_several_percent_is_not_flagged_where_rates_outside_reach_that_far() -> None:
    random = np.random.default_rng(3)
    hits = [hits_from(lognormal_rates(2, 100), random) for _ in range(100)]
    for hit in hits:
        hit[0] = 0.03 * SAMPLES
    assert np.mean([flagged(hit)[0] for hit in hits]) <= 0.05


def test_the_documented_limit_rare_people_far_above_all_others_are_accused() -> None:
    random, worlds = np.random.default_rng(4), 200

    def two_kinds(random: np.random.Generator) -> Floats:
        raised = np.where(random.random(PEOPLE) < 0.005, 100.0, 1.0)
        return raised * lognormal_rates(0.5, 3)(random)

    share = np.mean([flagged(hits_from(two_kinds, random)).any() for _ in range(worlds)])
    assert 0.1 < share < 0.4


def test_p_values_are_uniform_where_rates_have_a_pareto_tail() -> None:
    random = np.random.default_rng(5)
    p = np.array(
        [
            tail_p_values_of_hits(hits[:1], hits[1:])[0]
            for hits in (1e6 * random.pareto(1.5, (4000, 200)) + 1e6).astype(np.int64)
        ]
    )
    tail = p[p < 0.05] / 0.05
    assert len(tail) == pytest.approx(200, abs=45)
    assert kstest(tail, "uniform").pvalue > 0.01


def test_p_values_equal_their_definition() -> None:
    cohort = np.array([0] * 90 + [1, 2, 3, 4, 5, 6, 8, 10, 20, 40], dtype=np.int64)
    spread = np.log((cohort[90:] + 0.5) / 0.5).sum()
    model = [11 / 101 * (1 + np.log((h + 0.5) / 0.5) / spread) ** -10 for h in (1, 40, 5000)]
    expected = np.maximum(model, np.array([10, 1, 0]) / 101)
    assert expected[0] > model[0] and expected[2] == model[2]
    p = tail_p_values_of_hits(np.array([1, 40, 5000, 0], dtype=np.int64), cohort)
    np.testing.assert_allclose(p, [*expected, 1.0], rtol=1e-12)
    assert p[2] < 1 / 101


@given(cohort=COUNTS, seed=st.integers(0, 1000))
def test_p_values_fall_with_hits_and_do_not_depend_on_the_order(cohort: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    hits = np.unique(np.concatenate([np.arange(300), random.integers(0, 10**9, 20)]))
    outside = np.array(cohort, dtype=np.int64)
    p = tail_p_values_of_hits(hits, outside)
    assert ((p > 0) & (p <= 1)).all() and (np.diff(p) <= 0).all()
    if outside.any():
        above = hits >= outside.max()
        assert (np.diff(p[above]) < 0).all()
    shuffle = random.permutation(len(hits))
    np.testing.assert_array_equal(
        tail_p_values_of_hits(hits[shuffle], random.permutation(outside)), p[shuffle]
    )


def test_a_cohort_without_hits_gives_conformal_p_values() -> None:
    p = tail_p_values_of_hits(np.array([0, 7], dtype=np.int64), np.zeros(99, dtype=np.int64))
    assert p.tolist() == [1.0, 0.01]


@given(hits=st.lists(st.integers(0, 40), min_size=1, max_size=5), extra=st.integers(0, 10**6))
def test_rates_and_intervals_equal_scipys(hits: list[int], extra: int) -> None:
    samples = max(1, *hits) + extra
    rates = over_representation(np.array(hits, dtype=np.int64), samples, np.zeros(2, dtype=np.int64))
    for j, count in enumerate(hits):
        # scipy finds the root to 1e-12 of a rate, so to 1e-6 of a count per million.
        exact = binomtest(count, samples).proportion_ci(0.95, method="exact")
        assert rates.per_million[j] == pytest.approx(1e6 * count / samples, rel=1e-12)
        assert rates.low[j] == pytest.approx(1e6 * exact.low, rel=1e-6, abs=1e-5)
        assert rates.high[j] == pytest.approx(1e6 * exact.high, rel=1e-6, abs=1e-5)


@pytest.mark.parametrize("expected", [3, 10, 30, 100, 300, 1000, 5000])
def test_intervals_cover_the_rate_in_simulated_worlds(expected: int) -> None:
    samples, worlds = 10**6, 1000
    hits = np.random.default_rng(expected).binomial(samples, expected / samples, worlds).astype(np.int64)
    rates = over_representation(hits, samples, np.ones(2, dtype=np.int64))
    held = float(((rates.low <= expected) & (expected <= rates.high)).mean())
    every = np.arange(12_000, dtype=np.int64)
    all_counts = over_representation(every, samples, np.ones(2, dtype=np.int64))
    covers = (all_counts.low <= expected) & (expected <= all_counts.high)
    exact = float(binom.pmf(every[covers], samples, expected / samples).sum())
    assert 0.95 <= exact < 0.99
    assert abs(held - exact) < 4 * np.sqrt(exact * (1 - exact) / worlds)


def test_the_ratio_is_to_the_cohorts_mean_rate() -> None:
    hits = np.array([0, 30], dtype=np.int64)
    rates = over_representation(hits, 1000, np.array([0, 0, 9], dtype=np.int64))
    assert rates.expected_per_million == pytest.approx(3000)
    np.testing.assert_allclose(rates.ratio, [0, 10])
    np.testing.assert_array_equal(
        over_representation(hits, 1000, np.zeros(3, dtype=np.int64)).ratio, [np.nan, np.inf]
    )


@given(p=st.lists(st.floats(0, 0.2), max_size=12), fdr=st.sampled_from([0.01, 0.05, 0.2]))
def test_flags_equal_holms_definition(p: list[float], fdr: float) -> None:
    ranked, expected = sorted(range(len(p)), key=p.__getitem__), set()
    for place, j in enumerate(ranked):
        if round(p[j] * (len(p) - place), 12) > round(fdr, 12):
            break
        expected.add(j)
    assert set(np.flatnonzero(more_than_cohort(np.array(p), fdr)).tolist()) == expected


def test_bad_arguments_are_refused() -> None:
    hits, no_hits = np.ones(1, dtype=np.int64), np.empty(0, dtype=np.int64)
    with pytest.raises(ValueError, match="at least one sample"):
        over_representation(hits, 0, hits)
    with pytest.raises(ValueError, match="one cohort identity"):
        over_representation(hits, 5, no_hits)
    with pytest.raises(ValueError, match="needs a cohort"):
        tail_p_values_of_hits(hits, no_hits)
    for bad in (-hits, 6 * hits):
        with pytest.raises(ValueError, match="between 0 and 5"):
            over_representation(bad, 5, hits)
        with pytest.raises(ValueError, match="between 0 and 5"):
            over_representation(hits, 5, bad)
    with pytest.raises(ValueError, match="false discovery rate"):
        more_than_cohort(np.array([0.5]), 1.0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        more_than_cohort(np.array([np.nan]), 0.05)


SITUATIONS = {
    "equal": (np.full(20, 0.004), 0.05),
    "two equal and few": (np.full(2, 0.0005), 0.05),
    "three times exactly": (np.array([0.006, 0.002, 0.002, 0.002, 0.002]), 0.05),
    "ten times": (np.array([0.02, 0.002, 0.002, 0.002, 0.002]), None),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_who_stands_out_of_the_leaked_is_hit_three_times_as_often(name: str) -> None:
    random, (rates, most), trials = np.random.default_rng(0), SITUATIONS[name], 400
    flags = np.array(
        [standing(random.binomial(20_000, rates), 20_000, None, 0.05).outstanding() for _ in range(trials)]
    )
    if most is None:
        assert flags[:, 0].mean() > 0.95 and flags[:, 1:].mean() == 0
    else:
        assert flags.any(axis=1).mean() <= most


def test_who_stands_alone_is_held_against_all_candidates() -> None:
    hits, others = np.array([600]), np.array([0, 0, 1, 0, 3, 0, 0])
    alone = standing(hits, 20_000, others, 0.05)
    assert alone.outstanding().tolist() == [True] and alone.others.tolist() == [7]
    assert not standing(np.array([12]), 20_000, others, 0.05).outstanding().any()
    with pytest.raises(ValueError, match="one person cannot be compared"):
        standing(hits, 20_000, None, 0.05)
