"""Simulated worlds of people, photos and a generator, whose truth is known, as the files of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from distributed.execution.executor import Capacity
from distributed.gallery.enrolled import enrolled_gallery
from distributed.membership.assess import VERDICTS_ALONE, KnownPeople, assess
from distributed.membership.assessment import Assessment
from distributed.membership.frame import Frame
from distributed.membership.hits import HitCounts
from distributed.membership.judgement import Judgement
from distributed.reduce.centring import template_sum
from distributed.reduce.partial import Partial
from distributed.reduce.queries import ComparedPeople, Query, ShardGroup, SumQuery, group_shards
from distributed.stages.passes import Grouping, Passes
from distributed.statistics.similarity import Floats, Integers, Singles
from distributed.storage.store import RunStore
from schemas.run.artefacts import GALLERY_FILE, SAMPLES_PREFIX
from schemas.run.shard import Footer, Shard, plan_shards
from schemas.run.tables import Outcome, Role, gallery_schema, samples_schema
from schemas.spec.audit import AuditSpec

MATED_COSINE = 0.65
POOR_COSINE = 0.45
"""Of two photos of one person, less what a common blur adds."""
BLUR = 0.35
LOOKS_LIKE_EVERYBODY = 0.6
LOOKS_LIKE_ITSELF = 0.15
SIBLING_COSINE = 0.6
SHARDS = 4
RECOGNIZER = "world"


@dataclass(frozen=True)
class World:
    """What a world is like. All but the seed may be shared by many worlds.

    photos: the least and the most of a person. hubs: the share of people who look like everybody. quality:
    mixed, and half of the people have poor photos, with a common blur. leaked: how many candidates are, each
    drawn with probability `rate`; all other samples are of new people, or of `people` others, each as likely,
    if given. siblings: how many candidates resemble a leaked one. groups: two groups of different looks, one
    more common among candidates than in the cohort. likeness: of samples of leaked people, as of planted ones
    (`distributed.membership.planted`). copies: how many times as often as the other leaked the first one is
    drawn.
    """

    seed: int
    candidates: int = 40
    cohort: int = 800
    samples: int = 2000
    dimension: int = 64
    photos: tuple[int, int] = (1, 1)
    hubs: float = 0.0
    quality: Literal["same", "mixed"] = "same"
    leaked: int = 0
    rate: float = 0.0
    siblings: int = 0
    people: int | None = None
    groups: bool = False
    likeness: float = 1.0
    copies: float = 1.0

    def __post_init__(self) -> None:
        if self.leaked + self.siblings > self.candidates or self.drawn > 1:
            raise ValueError("there are not so many candidates, or their rates exceed 1")
        if self.siblings and not self.leaked:
            raise ValueError("nobody is leaked whom siblings could resemble")

    @property
    def drawn(self) -> float:
        """The share of the samples that show somebody of the leaked."""
        return self.rate * (self.leaked + (self.copies - 1) * (self.leaked > 0))

    @property
    def rates(self) -> Floats:
        """Of each of the leaked."""
        return np.where(np.arange(self.leaked) == 0, self.copies, 1.0) * self.rate


@dataclass(frozen=True)
class Truth:
    """What is true of a world. rate: by name, of the leaked; identities: 1 / Σ p² of the generator;
    siblings: names of those who resemble a leaked person; group: by name."""

    rate: dict[str, float]
    identities: float
    siblings: frozenset[str]
    group: dict[str, str]

    def is_leaked(self, names: Sequence[str]) -> NDArray[np.bool_]:
        return np.array([name in self.rate for name in names], dtype=np.bool_)


@dataclass(frozen=True)
class People:
    """Identities on the sphere: direction (i, d), poor: bool (i,), whose photos are poor, group: (i,)."""

    direction: Floats
    poor: NDArray[np.bool_]
    group: NDArray[np.int64]

    def __getitem__(self, rows: NDArray[np.int64]) -> People:
        return People(self.direction[rows], self.poor[rows], self.group[rows])

    def __len__(self) -> int:
        return len(self.direction)


@dataclass(frozen=True)
class Drawn:
    """A world's templates, float16. identity: int64 (g,), of each photo, candidates first."""

    gallery: NDArray[np.float16]
    identity: Integers
    detection_score: Singles
    samples: NDArray[np.float16]
    sampled: Integers
    """(n,): the leaked candidate of each sample, or −1."""


class Simulator:
    """Draws one world: the gallery first, then as many sets of samples as are asked for."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._random = np.random.default_rng(world.seed)
        self._common, self._blur, self._look = unit(self._random.standard_normal((3, world.dimension)))
        self.candidates = self._people(world.candidates, 0.7)
        self.cohort = self._people(world.cohort, 0.3)
        order = self._random.permutation(world.candidates)
        self.leaked = np.sort(order[: world.leaked])
        self.siblings = np.sort(order[world.leaked : world.leaked + world.siblings])
        self._make_siblings()
        self._others = None if world.people is None else self._people(world.people, 0.3)

    def truth(self) -> Truth:
        world = self.world
        rest = 1 - world.drawn
        squares = float((world.rates**2).sum()) + (rest**2 / world.people if world.people else 0.0)
        groups = np.concatenate([self.candidates.group, self.cohort.group])
        names = self.names()
        return Truth(
            {names[person]: rate for person, rate in zip(self.leaked, world.rates.tolist(), strict=True)},
            1 / squares if squares else float("inf"),
            frozenset(names[sibling] for sibling in self.siblings),
            {name: "second" if group else "first" for name, group in zip(names, groups, strict=True)},
        )

    def names(self) -> list[str]:
        """Of all identities, candidates first."""
        world = self.world
        return [f"candidate{i:05d}" for i in range(world.candidates)] + [
            f"cohort{i:05d}" for i in range(world.cohort)
        ]

    def draw(self) -> Drawn:
        """The gallery's photos, and the samples."""
        world = self.world
        people = _joined(self.candidates, self.cohort)
        least, most = world.photos
        identity = np.repeat(np.arange(len(people)), self._random.integers(least, most + 1, len(people)))
        photos = self._photos(people[identity])
        score = np.where(people.poor[identity], 0.65, 0.85) + self._random.uniform(-0.1, 0.1, len(identity))
        samples, sampled = self.draw_samples(world.samples)
        return Drawn(photos, identity.astype(np.int64), score.astype(np.float32), samples, sampled)

    def draw_samples(self, count: int) -> tuple[NDArray[np.float16], Integers]:
        """Templates of `count` samples, and the leaked candidate of each, or −1."""
        world = self.world
        rates = np.append(world.rates, max(0.0, 1 - world.drawn))
        which = self._random.choice(world.leaked + 1, count, p=rates / rates.sum())
        sampled = np.append(self.leaked, -1)[which].astype(np.int64)
        new = self._people(count, 0.3) if self._others is None else self._others
        row = np.arange(count) if self._others is None else self._random.integers(0, len(new), count)
        inside = sampled >= 0
        known = self.candidates[np.maximum(sampled, 0)]
        direction = np.where(inside[:, None], known.direction, new.direction[row])
        poor = np.where(inside, known.poor, new.poor[row])
        return self._poorer(self._photos(People(direction, poor, sampled)), inside), sampled

    def _poorer(self, samples: NDArray[np.float16], inside: NDArray[np.bool_]) -> NDArray[np.float16]:
        """Samples of leaked people less like photos, and more like the other samples."""
        likeness = self.world.likeness
        if likeness == 1 or not inside.any():
            return samples
        rows = samples.astype(np.float64)
        others = rows[self._random.choice(np.flatnonzero(~inside), int(inside.sum()))]
        rows[inside] = unit(likeness * rows[inside] + np.sqrt(1 - likeness**2) * others)
        return rows.astype(np.float16)

    def _people(self, count: int, second: float) -> People:
        """second: the share of the second group, whose members look a little like one another."""
        random, world = self._random, self.world
        own = unit(random.standard_normal((count, world.dimension)))
        group = (random.random(count) < second).astype(np.int64) * int(world.groups)
        own = unit(own + 0.5 * group[:, None] * self._look)
        near = np.where(random.random(count) < world.hubs, LOOKS_LIKE_EVERYBODY, LOOKS_LIKE_ITSELF)[:, None]
        direction = unit(near * self._common + np.sqrt(1 - near**2) * own)
        poor = (random.random(count) < 0.5) & (world.quality == "mixed")
        return People(direction, poor, group)

    def _make_siblings(self) -> None:
        if not len(self.siblings):
            return
        direction = self.candidates.direction
        leaked = direction[self.leaked[np.arange(len(self.siblings)) % len(self.leaked)]]
        own = direction[self.siblings]
        share = np.sqrt(1 - SIBLING_COSINE**2)
        direction[self.siblings] = unit(SIBLING_COSINE * leaked + share * own)

    def _photos(self, people: People) -> NDArray[np.float16]:
        """One photo of each: what shows of the person differs from photo to photo."""
        random, poor = self._random, people.poor[:, None]
        shown = np.sqrt(np.where(poor, POOR_COSINE, MATED_COSINE)) + random.uniform(
            -0.05, 0.05, (len(people), 1)
        )
        noise = unit(random.standard_normal(people.direction.shape)) + poor * BLUR * self._blur
        photos = shown * people.direction + np.sqrt(1 - shown**2) * noise
        return unit(photos).astype(np.float16)


def unit(rows: Floats) -> Floats:
    lengths: Floats = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / lengths


def _joined(a: People, b: People) -> People:
    return People(
        np.concatenate([a.direction, b.direction]),
        np.concatenate([a.poor, b.poor]),
        np.concatenate([a.group, b.group]),
    )


def gallery_table(simulator: Simulator, drawn: Drawn) -> pa.Table:
    """`gallery.parquet` of a world: rows by role, identity and photo."""
    world, n = simulator.world, len(drawn.identity)
    names = pa.array(simulator.names(), pa.string())
    place = np.arange(n) - np.searchsorted(drawn.identity, drawn.identity)
    role = np.where(drawn.identity < world.candidates, str(Role.CANDIDATE), str(Role.COHORT))
    columns = [
        names.take(pa.array(drawn.identity)),
        pa.array([f"photo{number}.png" for number in place]),
        pa.array(role.tolist()),
        pa.repeat(str(Outcome.OK), n),
        pa.array(drawn.detection_score),
        pa.nulls(n, pa.float32()),
        _templates(drawn.gallery),
    ]
    return pa.Table.from_arrays(columns, schema=gallery_schema({RECOGNIZER: world.dimension}))


def _templates(rows: NDArray[np.float16]) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])


def world_spec(world: World, folder: Path, **membership: object) -> AuditSpec:
    """The audit of a world. Its paths of models are never opened."""
    attributes = str(folder / "attributes.csv") if world.groups else None
    return AuditSpec.model_validate(
        {
            "name": "world",
            "seed": world.seed,
            "generator": {"kind": "onnx", "path": "none.onnx", "latent": {"dim": world.dimension}},
            "samples": world.samples,
            "shard_size": max(1, -(-world.samples // SHARDS)),
            "faces": {
                "detector": {"path": "none.onnx"},
                "recognizers": [{"name": RECOGNIZER, "path": "none.onnx"}],
            },
            "gallery": {
                "candidates": {"images": "none"},
                "cohort": {"images": "none"},
                "attributes": attributes,
            },
            "membership": membership,
            "protection": {"encrypt": False},
            "output": str(folder),
        }
    )


def write_world(spec: AuditSpec, simulator: Simulator, drawn: Drawn) -> pa.Table:
    """Write a world's shards and gallery as a run's files; the gallery's table."""
    store = RunStore(spec.output)
    table = gallery_table(simulator, drawn)
    rows = table.num_rows
    store.write_table(GALLERY_FILE, table, Footer(table="gallery", fingerprint={}, stop_id=rows, rows=rows))
    write_samples(spec, drawn.samples)
    return table


def write_samples(spec: AuditSpec, templates: NDArray[np.float16], recognizer: str = RECOGNIZER) -> None:
    """As the shards of an audit, unencrypted."""
    for shard in plan_shards(spec.samples, spec.samples_per_shard):
        _write_shard(RunStore(spec.output), shard, templates[shard.first_id : shard.stop_id], recognizer)


def _write_shard(store: RunStore, shard: Shard, templates: NDArray[np.float16], recognizer: str) -> None:
    columns = [
        pa.array(np.arange(shard.first_id, shard.stop_id)),
        pa.repeat(str(Outcome.OK), shard.rows),
        pa.array(np.ones(shard.rows, dtype=np.int16)),
        pa.array(np.full(shard.rows, 0.9, dtype=np.float32)),
        _templates(templates),
    ]
    table = pa.Table.from_arrays(columns, schema=samples_schema({recognizer: templates.shape[1]}))
    sums = {recognizer: template_sum(templates)}
    ids = {"first_id": shard.first_id, "stop_id": shard.stop_id, "rows": shard.rows}
    footer = Footer(table="samples", fingerprint={}, template_sums=sums, **ids)
    store.write_table(f"{SAMPLES_PREFIX}/{shard.file_name}", table, footer)


def two_groups(shards: Sequence[Shard], query: Query, capacity: Capacity) -> list[ShardGroup]:
    """The shards in two contiguous groups."""
    return group_shards(shards, 2)


def any_groups(seed: int) -> Grouping:
    """Shards in groups of any sizes, and in any order where a pass does not go by sample ids."""

    def grouping(shards: Sequence[Shard], query: Query, capacity: Capacity) -> list[ShardGroup]:
        random = np.random.default_rng([seed, len(shards)])
        order = np.arange(len(shards))
        if isinstance(query, SumQuery):
            random.shuffle(order)
        cuts = np.flatnonzero(random.random(len(shards) - 1) < 0.5) + 1
        parts = np.split(order, cuts)
        return [ShardGroup(index, tuple(shards[i] for i in part), "any") for index, part in enumerate(parts)]

    return grouping


def in_process(spec: AuditSpec, grouping: Grouping = two_groups) -> Passes:
    """The passes over a world's shards, in this process."""
    return Passes.here(spec, RunStore(spec.output), grouping)


def worlds_like(world: World, count: int) -> list[World]:
    """The same world with other seeds, which follow from its own."""
    seeds = np.random.SeedSequence(world.seed).generate_state(count, np.uint64) >> np.uint64(2)
    return [replace(world, seed=int(seed)) for seed in seeds]


@dataclass(frozen=True)
class JudgedWorld:
    """A world with known truth, and what the product's own assessment says of it."""

    truth: Truth
    drawn: Drawn
    assessment: Assessment

    @property
    def frame(self) -> Frame:
        return self.assessment.frame

    @property
    def partial(self) -> Partial:
        """Of the largest number of photos."""
        return self.assessment.partials[RECOGNIZER][-1]

    @property
    def compared(self) -> ComparedPeople:
        return self.assessment.people[RECOGNIZER]

    @property
    def judgements(self) -> Sequence[Judgement]:
        return self.assessment.judgements

    @property
    def hits(self) -> HitCounts:
        return self.assessment.hits[0]

    def leaked(self) -> NDArray[np.bool_]:
        """Which of the frame's candidates are."""
        return self.truth.is_leaked(
            [self.frame.gallery.names[candidate] for candidate in self.frame.candidates]
        )


def judge_world(world: World, folder: Path, **membership: object) -> JudgedWorld:
    """Write a world's files in an empty folder and assess it, less what changes no verdict."""
    simulator = Simulator(world)
    drawn, truth = simulator.draw(), simulator.truth()
    spec = world_spec(world, folder, **membership)
    gallery = enrolled_gallery(write_world(spec, simulator, drawn), [RECOGNIZER])
    assessment = assess(spec, KnownPeople(gallery, {"group": truth.group}), in_process(spec), VERDICTS_ALONE)
    return JudgedWorld(truth, drawn, assessment)
