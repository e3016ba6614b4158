"""Claims about doing the same audit in another way."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from distributed.gallery.enrolled import enrolled_gallery
from distributed.membership.assess import KnownPeople, assess
from distributed.membership.score_tables import neighbours_table, scores_table
from distributed.storage.store import RunStore, encode_table
from jobs.benchmarks.worlds.exact import exact_scores
from jobs.benchmarks.worlds.measures import MIXED, SCORES, Bench, ClaimResult, Row
from jobs.benchmarks.worlds.simulated import (
    RECOGNIZER,
    Simulator,
    World,
    any_groups,
    in_process,
    judge_world,
    world_spec,
    worlds_like,
    write_world,
)
from schemas.run.artefacts import GALLERY_FILE
from schemas.run.shard import Footer

EXACT_SCORES = ("margin", "max", "topk_mean", "hit_rate", "density_ratio")


def exactness(bench: Bench) -> ClaimResult:
    """Any split of the samples gives the same bytes; scores equal those of float64 brute force."""
    partitions = bench.share(20, least=4)
    world = replace(MIXED, seed=bench.seed + 80, candidates=20, cohort=150, samples=600, leaked=2, rate=0.02)
    tables = {_tables(world, place) for place in range(partitions + 1)}
    count = bench.share(10)
    errors: dict[str, list[float]] = {name: [] for name in EXACT_SCORES}
    small = replace(world, photos=(1, 3))
    for judged in bench.judged(small, count, 81, scores=EXACT_SCORES):
        exact = exact_scores(judged, topk=16)
        for (_, name), values in judged.assessment.scores.items():
            errors[name].append(float(np.abs(values - np.stack(exact[name])).max()))
    worst = {name: max(values) for name, values in errors.items()}
    rows = [
        Row(
            "scores.parquet and neighbours.parquet of any split of the samples",
            "the same bytes",
            f"{len(tables)} distinct result of {partitions + 1} splits into shards, groups and orders",
            1,
            len(tables) == 1,
        ),
        Row(
            f"error of scores of people against float64 brute force: {', '.join(EXACT_SCORES)}",
            "at most 1e-5",
            f"largest {max(worst.values()):.1e} ({max(worst, key=lambda name: worst[name])})",
            count,
            max(worst.values()) <= 1e-5,
        ),
        _same_as_reduce(replace(small, seed=bench.seed + 82), bench.share(6)),
    ]

    def draw(axes: Axes) -> None:
        axes.barh(list(worst), [max(value, 1e-18) for value in worst.values()])
        axes.axvline(1e-5, color="black", linestyle="--")
        axes.set(xscale="log", xlabel="largest error of a person's score")

    return ClaimResult(rows, draw)


def _tables(world: World, split: int) -> bytes:
    """The bytes of the tables by the whole reduce, of one split of the samples into shards and groups."""
    simulator = Simulator(world)
    drawn = simulator.draw()
    size = int(np.random.default_rng([world.seed, split]).integers(20, world.samples))
    with tempfile.TemporaryDirectory() as folder:
        spec = world_spec(world, Path(folder)).model_copy(update={"shard_size": size})
        gallery = enrolled_gallery(write_world(spec, simulator, drawn), [RECOGNIZER])
        assessed = assess(spec, KnownPeople(gallery), in_process(spec, any_groups(split)))
    footer = Footer(table="any", fingerprint={}, stop_id=0, rows=0)
    near = neighbours_table(assessed.frame, assessed.partials)
    scores = scores_table(assessed.frame, assessed.partials, assessed.judgements, assessed.hits)
    return encode_table(near, footer) + encode_table(scores, footer)


def _same_as_reduce(world: World, count: int) -> Row:
    """This bench leaves diagnostics out: are the verdicts the same with them?"""
    same = 0
    for variant in worlds_like(world, count):
        with tempfile.TemporaryDirectory() as folder:
            short = judge_world(variant, Path(folder), scores=SCORES)
            spec = world_spec(variant, Path(folder), scores=SCORES)
            gallery = enrolled_gallery(RunStore(spec.output).read_table(GALLERY_FILE), [RECOGNIZER])
            whole = assess(spec, KnownPeople(gallery), in_process(spec))
        same += all(
            np.array_equal(a.calibrated.p_value, b.calibrated.p_value)
            and list(a.decisions) == list(b.decisions)
            for a, b in zip(short.judgements, whole.judgements, strict=True)
        ) and np.array_equal(short.hits.flagged, whole.hits[0].flagged)
    return Row(
        "leaving out the diagnostics changes no p-value, verdict or reason",
        "all worlds",
        f"{same} of {count}",
        count,
        same == count,
    )
