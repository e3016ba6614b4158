"""`idleak bench reduce`: the search of samples and people against matrix products, FAISS, numpy and torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from distributed.reduce.centring import centred
from distributed.reduce.search import search
from distributed.statistics.similarity import Floats, Integers, Singles
from jobs.benchmarks.limits import GIGA, limit_contenders, limits_table, threads, timed
from jobs.benchmarks.table import Bar, Measured, Report, Table, cores, interleaved, publish
from jobs.cli.exit_codes import ExitCode
from schemas.errors import UsageError

SEARCH_BAR, FLOAT16_BAR, AGREEMENT_BAR = 0.70, 1e-5, 1e-5
PEOPLE_AT_ONCE, SAMPLES_AT_ONCE = 1024, 8192
OURS, NUMPY_PRODUCT, TORCH_PRODUCT = "idleak search", "numpy matrix product", "torch matrix product"

Nearest = tuple[Singles, Integers]
T = TypeVar("T")


@dataclass(frozen=True)
class Sizes:
    """What is compared. threads: of every library alike."""

    people: int
    samples: int
    dim: int
    topk: int
    threads: int

    @property
    def operations(self) -> float:
        return 2.0 * self.people * self.samples * self.dim


@dataclass(frozen=True)
class Problem:
    """Templates as shards give them (float16), and the same as float32 for the peers."""

    sizes: Sizes
    people: Singles
    samples: Singles
    stored: NDArray[np.float16]


@dataclass(frozen=True)
class Raced:
    """The seconds of every contender for one problem, and how far the peers' answers are from ours."""

    sizes: Sizes
    seconds: dict[str, Measured]
    apart: dict[str, float]

    @property
    def limit(self) -> str:
        """The faster of the two matrix products."""
        return min((NUMPY_PRODUCT, TORCH_PRODUCT), key=lambda name: self.seconds[name].median)

    @property
    def name(self) -> str:
        return f"{self.sizes.people:,} people × {self.sizes.samples:,} samples, {self.sizes.dim} numbers each"


def bench_reduce(sizes: Sizes, repeats: int, output: Path | None, command: Sequence[str]) -> ExitCode:
    """Race the search with its peers at several sizes. FAILED if a bar is missed; raises UsageError."""
    if sizes.topk > sizes.samples:
        raise UsageError(f"--topk {sizes.topk} of --samples {sizes.samples}: lower --topk or raise --samples")
    with threads(sizes.threads):
        races = [_race(problem_sizes, repeats) for problem_sizes in smaller_and_full(sizes)]
        limits = interleaved(limit_contenders({1, sizes.threads}), repeats)
        cosine = smallest_cosine(sizes)
    bars = [_search_bar(races[-1]), *map(_agreement_bar, races)]
    claim = f"{sizes.samples:,} templates in float16: 1 − smallest cosine with float32"
    bars.append(Bar(claim, Measured((1 - cosine,)), FLOAT16_BAR, at_most=True))
    tables = [_race_table(race) for race in races] + [limits_table(limits)]
    return publish(Report(command, repeats, tables, bars, _notes(sizes)), output)


def smaller_and_full(sizes: Sizes) -> Iterator[Sizes]:
    """A tenth of the people and a quarter of the numbers, and all of them: 1,000 and 10,000, 128 and 512."""
    for people in dict.fromkeys((max(1, sizes.people // 10), sizes.people)):
        for dim in dict.fromkeys((max(1, sizes.dim // 4), sizes.dim)):
            yield Sizes(people, sizes.samples, dim, sizes.topk, sizes.threads)


def unit_templates(count: int, dim: int, seed: int) -> Singles:
    rows = np.random.default_rng(seed).standard_normal((count, dim), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def smallest_cosine(sizes: Sizes) -> float:
    """Between each sample's template and what is left of it in float16."""
    rows = unit_templates(sizes.samples, sizes.dim, 1)
    rounded = rows.astype(np.float16).astype(np.float32)
    dots = np.einsum("nd,nd->n", rows, rounded, dtype=np.float64)
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1) * np.linalg.norm(
        rounded.astype(np.float64), axis=1
    )
    return float((dots / lengths).min())


def make_problem(sizes: Sizes) -> Problem:
    stored = unit_templates(sizes.samples, sizes.dim, 1).astype(np.float16)
    # The peers take templates as they are, so theirs are normalised once, outside the race.
    people = _normalised(unit_templates(sizes.people, sizes.dim, 0).astype(np.float16))
    return Problem(sizes, people, _normalised(stored), stored)


def _normalised(stored: NDArray[np.float16]) -> Singles:
    exact = stored.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    return exact.astype(np.float32)


def _race(sizes: Sizes, repeats: int) -> Raced:
    problem = make_problem(sizes)
    room = np.zeros(PEOPLE_AT_ONCE * SAMPLES_AT_ONCE, dtype=np.float32)
    peers: dict[str, Callable[[], Nearest]] = {
        "FAISS IndexFlatIP": partial(_faiss_search, problem),
        "numpy product and argpartition": partial(_numpy_search, problem),
        "torch product and topk": partial(_torch_search, problem),
    }
    ours = _Kept(partial(_ours, problem))
    kept = {name: _Kept(run) for name, run in peers.items()}
    seconds = interleaved(
        {
            OURS: ours.seconds,
            NUMPY_PRODUCT: lambda: timed(lambda: _numpy_products(problem, room)),
            TORCH_PRODUCT: lambda: timed(lambda: _torch_products(problem, torch.from_numpy(room))),
        }
        | {name: peer.seconds for name, peer in kept.items()},
        repeats,
    )
    nearest = ours.answers[-1]
    apart = {name: disagreement(problem, nearest, peer.answers[-1]) for name, peer in kept.items()}
    return Raced(sizes, seconds, apart)


@dataclass
class _Kept(Generic[T]):
    """A timed search whose last answer is kept."""

    run: Callable[[], T]
    answers: list[T] = field(default_factory=list)

    def seconds(self) -> float:
        start = time.perf_counter()
        answer = self.run()
        spent = time.perf_counter() - start
        self.answers[:] = [answer]
        return spent


def _ours(problem: Problem) -> Nearest:
    sizes, centre = problem.sizes, np.zeros(problem.sizes.dim)
    samples, ids = centred(problem.stored, centre), np.arange(sizes.samples, dtype=np.int64)
    near = search(problem.people, samples, ids, k=sizes.topk).neighbours
    return near.similarity, near.sample_id


def _blocks(problem: Problem) -> Iterator[tuple[slice, slice]]:
    for first in range(0, problem.sizes.people, PEOPLE_AT_ONCE):
        for start in range(0, problem.sizes.samples, SAMPLES_AT_ONCE):
            yield slice(first, first + PEOPLE_AT_ONCE), slice(start, start + SAMPLES_AT_ONCE)


def _numpy_products(problem: Problem, room: Singles) -> None:
    for people, samples in _blocks(problem):
        a, b = problem.people[people], problem.samples[samples]
        np.matmul(a, b.T, out=room[: len(a) * len(b)].reshape(len(a), len(b)))


def _torch_products(problem: Problem, room: torch.Tensor) -> None:
    gallery, base = torch.from_numpy(problem.people), torch.from_numpy(problem.samples)
    for people, samples in _blocks(problem):
        a, b = gallery[people], base[samples]
        torch.matmul(a, b.T, out=room[: len(a) * len(b)].view(len(a), len(b)))


def _faiss_search(problem: Problem) -> Nearest:
    index = faiss.IndexFlatIP(problem.sizes.dim)
    index.add(problem.samples)
    nearest: Nearest = index.search(problem.people, problem.sizes.topk)
    return nearest


def _numpy_search(problem: Problem) -> Nearest:
    k = problem.sizes.topk

    def top(people: slice, samples: slice) -> Nearest:
        products = problem.people[people] @ problem.samples[samples].T
        least = max(0, products.shape[1] - k)
        columns = np.argpartition(products, least, axis=1)[:, least:] if least else _all_columns(products)
        return np.take_along_axis(products, columns, axis=1), columns

    return _best_of_blocks(problem, top)


def _torch_search(problem: Problem) -> Nearest:
    gallery, base = torch.from_numpy(problem.people), torch.from_numpy(problem.samples)

    def top(people: slice, samples: slice) -> Nearest:
        products = gallery[people] @ base[samples].T
        best = torch.topk(products, min(problem.sizes.topk, products.shape[1]), dim=1)
        return best.values.numpy(), best.indices.numpy()

    return _best_of_blocks(problem, top)


def _all_columns(products: Singles) -> Integers:
    return np.broadcast_to(np.arange(products.shape[1]), products.shape)


def _best_of_blocks(problem: Problem, top: Callable[[slice, slice], Nearest]) -> Nearest:
    """The best k of the best k of each block of samples, falling."""
    parts: dict[int, list[Nearest]] = {}
    for people, samples in _blocks(problem):
        similarity, columns = top(people, samples)
        parts.setdefault(people.start, []).append((similarity, columns + samples.start))
    best = [_best([row[0] for row in rows], [row[1] for row in rows], problem) for rows in parts.values()]
    return np.concatenate([block[0] for block in best]), np.concatenate([block[1] for block in best])


def _best(similarities: list[Singles], columns: list[Integers], problem: Problem) -> Nearest:
    similarity, column = np.hstack(similarities), np.hstack(columns)
    order = np.argsort(-similarity, axis=1, kind="stable")[:, : problem.sizes.topk]
    return np.take_along_axis(similarity, order, axis=1), np.take_along_axis(column, order, axis=1)


def disagreement(problem: Problem, ours: Nearest, theirs: Nearest) -> float:
    """The largest difference of similarities by rank, both as given and as their sample ids have them.

    Near ties may change places, so ids are compared by the similarities, in float64, of their samples.
    """
    given = np.abs(ours[0] - theirs[0]).max()
    named = max(
        float(np.abs(exact(problem, row, ours[1][row]) - exact(problem, row, theirs[1][row])).max())
        for row in range(problem.sizes.people)
    )
    return max(float(given), named)


def exact(problem: Problem, row: int, ids: Integers) -> Floats:
    """Similarities, in float64, of one person with the samples of these ids."""
    similarity: Floats = problem.samples[ids].astype(np.float64) @ problem.people[row].astype(np.float64)
    return similarity


def _search_bar(race: Raced) -> Bar:
    ratio = race.seconds[race.limit].per(race.seconds[OURS])
    return Bar(f"{race.name}: search ÷ {race.limit}", ratio, SEARCH_BAR)


def _agreement_bar(race: Raced) -> Bar:
    worst = Measured((max(race.apart.values()),))
    return Bar(f"{race.name}: top {race.sizes.topk} of all, largest difference", worst, AGREEMENT_BAR, True)


def _race_table(race: Raced) -> Table:
    rows = [
        (
            name,
            str(seconds),
            str(seconds.over(race.sizes.operations / GIGA)),
            str(seconds.per(race.seconds[OURS])),
            figure_apart(race.apart.get(name)),
        )
        for name, seconds in race.seconds.items()
    ]
    title = f"{race.name}; top {race.sizes.topk}"
    return Table(title, ("who", "seconds", "GFLOP/s", "seconds ÷ idleak's", "largest difference"), rows)


def figure_apart(apart: float | None) -> str:
    return "" if apart is None else f"{apart:.1e}"


def _notes(sizes: Sizes) -> list[str]:
    plural = "1 thread" if sizes.threads == 1 else f"{sizes.threads} threads"
    return [
        f"One process; numpy's BLAS, torch and FAISS have {plural} each, of {cores()} cores.",
        "idleak takes float16 and normalises it, and also finds the people whom each sample fits best, their"
        " margins, and counts of margin hits; the others get float32 of unit length and only find the nearest"
        " samples of each person. Matrix products throw their results away.",
        "The bar of the search is for the full size. With fewer numbers a product costs less, and finding the"
        " nearest in it as much as before.",
        "Templates are random directions. GFLOP/s are 2 × people × samples × numbers over the seconds.",
    ]
