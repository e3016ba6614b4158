"""Claims about counts: intervals of hits, and how many people a generator makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes

from distributed.statistics.over_representation import over_representation
from distributed.statistics.people.population import (
    IdentityCount,
    count_identities,
    densest_clusters,
    identities_of,
    match_rates,
)
from jobs.benchmarks.worlds.collisions import cohort_rates, collisions
from jobs.benchmarks.worlds.measures import Bench, ClaimResult, Mean, Row, Share, draw_shares
from jobs.benchmarks.worlds.simulated import (
    Simulator,
    World,
    worlds_like,
)

EXPECTED_HITS = (1, 3, 10, 30, 100, 1000)
HIT_SAMPLES = 20_000


def hit_intervals(bench: Bench) -> ClaimResult:
    """Coverage of the interval of hits per million.

    Samples are independent draws, so a world's hits are binomial: they are drawn as such.
    """
    random, count = bench.random(5), 20_000
    shares = {}
    for expected in EXPECTED_HITS:
        hits = random.binomial(HIT_SAMPLES, expected / HIT_SAMPLES, count)
        intervals = over_representation(hits, HIT_SAMPLES, np.zeros(1, dtype=np.int64))
        rate = expected / HIT_SAMPLES * 1e6
        shares[f"{expected} hits expected"] = Share(
            int(((intervals.low <= rate) & (rate <= intervals.high)).sum()), count
        )
    rows = [
        Row(
            f"interval of hits per million holds the true rate, {name}",
            "at least 95 % of worlds; lower end of the interval at least 94 %",
            str(share),
            count,
            Share(share.n - share.k, share.n).at_most(0.05),
        )
        for name, share in shares.items()
    ]

    def draw(axes: Axes) -> None:
        draw_shares(axes, shares)
        axes.axvline(0.95, color="black", linestyle="--")
        axes.set(xlabel="share of worlds whose interval holds the rate", title=f"{HIT_SAMPLES:,} samples")

    return ClaimResult(rows, draw)


ZIPF = 1 / np.arange(1, 3001)
POPULATIONS = {
    "100 people": np.full(100, 1 / 100),
    "10,000 people": np.full(10_000, 1 / 10_000),
    "100,000 people": np.full(100_000, 1 / 100_000),
    "3,000 people, Zipf": ZIPF / ZIPF.sum(),
    "one with a tenth of samples": np.array([0.1, *[0.9 / 10_000] * 10_000]),
}


def identity_counts(bench: Bench) -> ClaimResult:
    """Coverage of the number of identities: matches drawn by identity, and by templates."""
    random, count, shares = bench.random(6), bench.share(300, least=20), dict[str, Share]()
    for name, p in POPULATIONS.items():
        truth, held = 1 / float((p**2).sum()), 0
        for _ in range(count):
            fmr, rates = cohort_rates(random, 300, 0.95)
            identities = identities_of(collisions(random, p, 1000, 0.95, fmr), rates)
            held += identities.low <= truth <= identities.high
        shares[f"{name}, matches drawn"] = Share(held, count)
    clusters = []
    geometric = bench.share(60, least=4)
    base = World(0, candidates=1, cohort=200, photos=(4, 4), dimension=128, samples=1500)
    base = replace(base, people=400, leaked=1, rate=0.05)
    for name, world in {
        "templates, same quality": base,
        "templates, 10 % hubs and mixed quality": replace(base, hubs=0.1, quality="mixed"),
    }.items():
        counted = [
            _counted(variant) for variant in worlds_like(replace(world, seed=bench.seed + 60), geometric)
        ]
        shares[name] = Share(sum(result.held for result in counted), geometric)
        clusters.append(_cluster_row(name, counted))
    rows = [
        Row(
            f"interval of the number of identities holds the truth: {name}",
            "at least 95 % of worlds; lower end of the interval at least 94 %",
            str(share),
            share.n,
            Share(share.n - share.k, share.n).at_most(0.05),
        )
        for name, share in shares.items()
    ]

    def draw(axes: Axes) -> None:
        draw_shares(axes, shares)
        axes.axvline(0.95, color="black", linestyle="--")
        axes.set(xlabel="share of worlds whose interval holds 1 / Σ p²")

    return ClaimResult([*rows, *clusters], draw)


@dataclass(frozen=True)
class Counted:
    """What one world's samples say of its people. first: whether the largest cluster is the leaked person;
    share_held: whether their share's interval holds the rate."""

    count: IdentityCount
    truth: float
    first: bool
    share: float
    share_held: bool

    @property
    def held(self) -> bool:
        return self.count.low <= self.truth <= self.count.high


def _counted(world: World) -> Counted:
    simulator = Simulator(world)
    drawn = simulator.draw()
    cohort = drawn.identity >= world.candidates
    rates = match_rates(drawn.gallery[cohort].astype(np.float32), drawn.identity[cohort] - world.candidates)
    samples = drawn.samples.astype(np.float32)
    ids = np.arange(len(samples), dtype=np.int64)
    clusters = densest_clusters(samples, ids, rates.threshold, count=1)
    largest = clusters[0] if clusters else None
    return Counted(
        count_identities(samples, rates),
        simulator.truth().identities,
        largest is not None and bool(drawn.sampled[largest.sample_id] >= 0),
        largest.share if largest else 0.0,
        largest is not None and largest.low <= world.rate <= largest.high,
    )


def _cluster_row(name: str, counted: Sequence[Counted]) -> Row:
    n, held = len(counted), sum(result.share_held for result in counted)
    share = Mean.of([result.share for result in counted])
    ratio = Mean.of([result.count.estimate / result.truth for result in counted])
    return Row(
        f"largest cluster is the person with 5 % of samples: {name}",
        "no promise: templates of one person may not match",
        f"{sum(result.first for result in counted)} worlds; its share {share}, "
        f"interval holds 0.05 in {held}; number of identities over truth {ratio}",
        n,
        None,
    )
