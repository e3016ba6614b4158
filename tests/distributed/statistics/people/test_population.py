from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import betainc
from scipy.stats import binom, binomtest, gamma

from distributed.statistics.people import population
from distributed.statistics.people.population import (
    IdentityCount,
    MatchRates,
    count_identities,
    densest_clusters,
    identities_of,
    match_counts,
    match_rates,
)
from distributed.statistics.similarity import Integers, Singles
from jobs.benchmarks.worlds.collisions import cohort_rates, collisions
from jobs.benchmarks.worlds.counts import POPULATIONS
from tests.support.template_worlds import World, similarities, unit, world

SEEDS = st.integers(0, 2**32 - 1)
RATES = MatchRates(0.5, 1e-7, 1e7, 0.95, 4000.0, 0.0, 1000)


def matching(templates: Singles, threshold: float) -> NDArray[np.bool_]:
    matches = similarities(templates, templates).astype(np.float64) >= threshold
    np.fill_diagonal(matches, False)
    return matches


def a_similarity(templates: Singles, seed: int) -> float:
    """A threshold that some pair equals exactly: the hardest case for a guard band."""
    left, right = seed % len(templates), (seed // 7) % len(templates)
    return float(similarities(templates[[left]], templates[[right]])[0, 0])


def photos(random: np.random.Generator, identity: Integers, d: int) -> Singles:
    """Templates of a mated cosine of about 0.65; those of different people point anywhere."""
    centres = random.standard_normal((int(identity.max()) + 1, d))
    noise = random.standard_normal((len(identity), d))
    return unit((math.sqrt(0.65) * centres[identity] + math.sqrt(0.35) * noise).astype(np.float32))


def some_samples(seed: int, n: int, d: int, *, copies: bool) -> World:
    """Of a world, without those that have no direction."""
    templates = world(seed, people=3, n=n, d=d, copies=copies)
    there = templates.samples.any(axis=1)
    return replace(templates, samples=templates.samples[there], sample_id=templates.sample_id[there])


@given(seed=SEEDS, n=st.integers(1, 40), d=st.sampled_from([1, 2, 7, 64]), copies=st.booleans())
@settings(deadline=None, max_examples=60)
def test_match_counts_equal_brute_force(seed: int, n: int, d: int, copies: bool) -> None:
    samples = some_samples(seed, n, d, copies=copies).samples
    if not len(samples):
        return
    threshold = a_similarity(samples, seed)
    assert match_counts(samples, threshold).tolist() == matching(samples, threshold).sum(axis=1).tolist()


@given(seed=SEEDS, n=st.integers(0, 40), d=st.sampled_from([2, 3, 8]), copies=st.booleans())
@settings(deadline=None, max_examples=60)
def test_clusters_equal_the_greedy_oracle(seed: int, n: int, d: int, copies: bool) -> None:
    templates = some_samples(seed, n, d, copies=copies)
    threshold = a_similarity(templates.samples, seed) if len(templates.samples) else 0.5
    matches, left, expected = (
        matching(templates.samples, threshold),
        set(range(len(templates.samples))),
        list[tuple[int, int]](),
    )
    while left and len(expected) < 4:
        sizes = {row: sum(bool(matches[row, other]) for other in left) for row in left}
        centre = min(left, key=lambda row: (-sizes[row], templates.sample_id[row]))
        if not sizes[centre]:
            break
        expected.append((int(templates.sample_id[centre]), sizes[centre] + 1))
        left -= {centre, *np.flatnonzero(matches[centre]).tolist()}
    clusters = densest_clusters(templates.samples, templates.sample_id, threshold, count=4)
    assert [(cluster.sample_id, cluster.members) for cluster in clusters] == expected
    for cluster in clusters:
        interval = binomtest(cluster.members, len(templates.samples)).proportion_ci(0.95)
        np.testing.assert_allclose((cluster.low, cluster.high), (interval.low, interval.high))
        assert cluster.share == cluster.members / len(templates.samples)


def test_the_size_of_blocks_and_the_order_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    identity = random.integers(0, 90, 500)
    templates, ids = photos(random, identity, 48), random.permutation(500).astype(np.int64)
    order = random.permutation(500)

    def answers(rows: Integers) -> tuple[MatchRates, IdentityCount, list[population.Cluster]]:
        rates = match_rates(templates[rows], identity[rows])
        clusters = densest_clusters(templates[rows], ids[rows], 0.4, count=5)
        return rates, count_identities(templates[rows], rates), clusters

    whole = answers(np.arange(500))
    monkeypatch.setattr(population, "ROWS_AT_ONCE", 37)
    monkeypatch.setattr(population, "COLUMNS_AT_ONCE", 53)
    assert answers(order) == whole


@given(seed=SEEDS, n=st.integers(4, 9), share=st.floats(0.05, 0.95))
@settings(deadline=None, max_examples=40)
def test_the_dispersion_compares_pairs_without_a_common_sample(seed: int, n: int, share: float) -> None:
    random = np.random.default_rng(seed)
    pairs = [(a, b) for a, b in combinations(range(n), 2)]
    weight = dict(zip(pairs, random.binomial(3, share, len(pairs)).tolist(), strict=True))
    total = sum(weight.values())
    apart = [weight[a] * weight[b] for a in pairs for b in pairs if not set(a) & set(b)]
    squares = float(sum(value**2 for value in weight.values()))
    variance = total**2 - len(pairs) ** 2 * float(np.mean(apart))
    per_sample = np.array([sum(weight[pair] for pair in pairs if sample in pair) for sample in range(n)])
    expected = max(1.0, squares / total, variance / total) if total else 1.0
    assert population._dispersion(per_sample, squares) == pytest.approx(expected)


@given(seed=SEEDS, threshold=st.floats(0.0, 0.9))
@settings(deadline=None, max_examples=40)
def test_rates_at_a_given_threshold_equal_brute_force(seed: int, threshold: float) -> None:
    random = np.random.default_rng(seed)
    identity = random.permutation(np.repeat(np.arange(12) * 3, [1, 2, 3, 4, 4, 5, 6, 2, 4, 1, 4, 4]))
    templates = photos(random, identity, 12)
    matches = matching(templates, threshold)
    upper = np.triu(np.ones_like(matches), 1)
    different = upper & (identity[:, None] != identity)
    rates = match_rates(templates, identity, threshold)
    clustered = different.sum() / rates.fmr_comparisons
    assert clustered >= 1
    assert rates.fmr * different.sum() == pytest.approx((matches & different).sum() + clustered)
    shares, products, own = [], [], []
    for person in np.unique(identity):
        rows = np.flatnonzero(identity == person)
        hits = {pair: bool(matches[pair]) for pair in combinations(rows.tolist(), 2)}
        if hits:
            shares.append(np.mean(list(hits.values())))
        if len(rows) >= 4:
            own.append(shares[-1])
            products.append(np.mean([hits[a] * hits[b] for a in hits for b in hits if not set(a) & set(b)]))
    assert rates.tmr == pytest.approx(np.mean(shares)) and rates.people == len(shares)
    spread = max(0.0, float(np.mean(products) - np.mean(own) ** 2))
    assert rates.tmr_spread == pytest.approx(spread, abs=1e-12)


def test_the_chosen_threshold_has_the_fmr_that_is_said() -> None:
    random, d = np.random.default_rng(3), 32
    identity = np.repeat(np.arange(40), 4)
    ratios, covered = [], 0
    for _ in range(150):
        rates = match_rates(photos(random, identity, d), identity)
        true = 0.5 * float(betainc((d - 1) / 2, 0.5, 1 - rates.threshold**2))
        shape, scale = rates.fmr * rates.fmr_comparisons, 1 / rates.fmr_comparisons
        ratios.append(true / rates.fmr)
        covered += bool(gamma.ppf(0.025, shape) * scale <= true <= gamma.ppf(0.975, shape) * scale)
    assert covered >= binom.ppf(0.001, 150, 0.93)
    assert 0.6 < np.mean(ratios) < 1.4


def test_the_chosen_threshold_lies_above_all_different_people_but_for_one_with_two_names() -> None:
    identity = np.repeat(np.arange(60), 4)
    templates = photos(np.random.default_rng(4), identity, 128)
    different = identity[:, None] != identity
    clean = match_rates(templates, identity)
    assert not (matching(templates, clean.threshold) & different).any()
    assert matching(templates, clean.threshold - 1e-6)[different].any()
    two_names = np.where((identity == 7) & (np.arange(240) % 2 == 0), 60, identity)
    spoilt = match_rates(templates, two_names)
    assert abs(spoilt.threshold - clean.threshold) < 0.1 and spoilt.tmr > 0.95


def test_a_spread_of_tmr_over_people_widens_the_interval_of_a_dominated_generator() -> None:
    steady = collisions(np.random.default_rng(0), np.array([0.5, *[0.5 / 5000] * 5000]), 1000, 0.95, 0.0)
    wide = identities_of(steady, replace(RATES, tmr_spread=0.02))
    narrow = identities_of(steady, RATES)
    assert wide.low < narrow.low - 0.3
    even = collisions(np.random.default_rng(0), np.full(5000, 1 / 5000), 1000, 0.95, 0.0)
    assert identities_of(even, replace(RATES, tmr_spread=0.02)).low > 0.98 * identities_of(even, RATES).low


@pytest.mark.parametrize("name", POPULATIONS)
def test_the_interval_covers_the_effective_number(name: str) -> None:
    random, p, worlds = np.random.default_rng(11), POPULATIONS[name], 70
    truth, misses, infinite = 1 / float((p**2).sum()), 0, 0
    for _ in range(worlds):
        fmr, rates = cohort_rates(random, 300, 0.95)
        identities = identities_of(collisions(random, p, 1000, 0.95, fmr), rates)
        misses += not identities.low <= truth <= identities.high
        infinite += math.isinf(identities.high)
    assert misses <= binom.ppf(0.9995, worlds, 0.06)
    assert infinite == 0 or name == "100,000 people"


def test_templates_give_the_number_of_people() -> None:
    random = np.random.default_rng(5)
    cohort = np.repeat(np.arange(200), 4)
    rates = match_rates(photos(random, cohort, 128), cohort)
    count = count_identities(photos(random, random.integers(0, 500, 1500), 128), rates)
    assert count.low < 500 < count.high and count.high / count.low < 1.3
    assert (count.samples, count.dispersion < 1.2) == (1500, True)


def test_data_that_bound_nothing_say_so() -> None:
    nothing = identities_of(np.zeros(1000, dtype=np.int64), RATES)
    assert (nothing.estimate, nothing.high, nothing.collisions) == (math.inf, math.inf, 0)
    # Garwood's upper limit of no event, with the rates nearly certain.
    assert nothing.low == pytest.approx(0.95 * 499_500 / -math.log(0.025), rel=0.03)
    by_chance = np.zeros(1000, dtype=np.int64)
    by_chance[:10] = 1
    vague = identities_of(by_chance, replace(RATES, fmr=1e-5, fmr_comparisons=1e5))
    assert math.isinf(vague.high) and 1e4 < vague.low < math.inf
    wrong = identities_of(by_chance, replace(RATES, fmr=1e-3, fmr_comparisons=1e7))
    assert math.isinf(wrong.high) and 1e4 < wrong.low < math.inf
    blind = identities_of(by_chance, replace(RATES, tmr=0.0))
    assert (blind.low, blind.high, blind.estimate) == (1.0, math.inf, math.inf)


def test_one_person_only_is_one_identity() -> None:
    everybody = np.full(400, 399, dtype=np.int64)
    identities = identities_of(everybody, replace(RATES, tmr=1.0))
    assert identities.low == 1.0 and identities.estimate == pytest.approx(1.0) and identities.high < 1.05


def test_a_higher_confidence_is_a_wider_interval() -> None:
    counts = collisions(np.random.default_rng(1), np.full(3000, 1 / 3000), 800, 0.95, 0.0)
    wide, narrow = (identities_of(counts, RATES, confidence) for confidence in (0.99, 0.5))
    assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high


def test_a_dominating_person_is_the_first_cluster() -> None:
    random = np.random.default_rng(2)
    identity = np.where(random.random(3000) < 0.2, 0, random.integers(1, 5000, 3000))
    first, second, *_ = densest_clusters(photos(random, identity, 128), np.arange(3000), 0.42)
    assert first.low < 0.2 < first.high and identity[first.sample_id] == 0
    assert second.members < 8


def test_no_cluster_where_nobody_repeats() -> None:
    assert densest_clusters(np.eye(9, dtype=np.float32), np.arange(9), 0.5) == []


def test_bad_arguments_are_refused() -> None:
    templates, identity = np.eye(4, dtype=np.float32), np.array([0, 0, 1, 1])
    with pytest.raises(ValueError, match="two people with two photos"):
        match_rates(templates, np.array([0, 0, 1, 2]))
    with pytest.raises(ValueError, match="identity each"):
        match_rates(templates, identity[:3])
    with pytest.raises(ValueError, match="a number"):
        match_rates(templates, identity, math.nan)
    with pytest.raises(ValueError, match="a number"):
        match_counts(templates, math.nan)
    with pytest.raises(ValueError, match="four samples"):
        count_identities(templates[:3], RATES)
    with pytest.raises(ValueError, match="between 0 and 1"):
        count_identities(templates, RATES, confidence=1.0)
    with pytest.raises(ValueError, match="sample id each"):
        densest_clusters(templates, identity[:3], 0.5)
