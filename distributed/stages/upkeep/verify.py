"""Check every file of a run; name what is missing or damaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from distributed.storage.erasures import left_of, read_tombstone
from distributed.storage.run_record import read_record
from distributed.storage.store import RunStore
from distributed.storage.trail import entries, head, replay
from schemas.errors import DamagedError, StoreError
from schemas.fingerprint import Fingerprint
from schemas.run.artefacts import GALLERY_FILE, PLACEBO_PREFIX, RECORD_FILE, SAMPLES_PREFIX, TRAIL_PREFIX
from schemas.run.erasures import Tombstone
from schemas.run.shard import Footer, Shard, count_outcomes, plan_shards


@dataclass(frozen=True)
class Problem:
    """What is wrong with one file. is_foreign: it is not of this run, so that it must not be touched."""

    path: str
    what: str
    is_foreign: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


@dataclass(frozen=True)
class Verification:
    """What is wrong with a run, and what its audit log says of it.

    shards: planned for its samples; 0 of a purged run. entries, head: of the audit log, how many, and the
    sha256 of the last one. tombstone: of a purged run.
    """

    problems: Sequence[Problem]
    shards: int
    entries: int
    head: str
    tombstone: Tombstone | None = None


def verify(store: RunStore) -> Verification:
    """Check every file of a run, or that nothing is left of one that was purged. Raises SpecError if there is
    no run, DamagedError if its record or its tombstone cannot be read."""
    stone = read_tombstone(store)
    if stone is not None:
        problems = [
            *_log_problems(store),
            *(Problem(path, "is left of a purged run") for path in left_of(store)),
        ]
    else:
        problems = [*find_problems(store), *_log_problems(store)]
    shards = 0 if stone is not None else len(_planned_shards(store))
    return Verification(problems, shards, sum(1 for _ in entries(store)), head(store), stone)


def _log_problems(store: RunStore) -> list[Problem]:
    return [Problem(path, what, is_foreign=True) for path, what in replay(store)]


def find_problems(store: RunStore) -> Iterator[Problem]:
    """Each file of samples or gallery that is missing, damaged, unexpected, or of another spec."""
    yield from _sample_problems(store)
    if read_record(store).spec.membership.placebo is not None:
        yield from _placebo_problems(store)
    if what := _gallery_problem(store):
        yield Problem(GALLERY_FILE, what)


def _placebo_problems(store: RunStore) -> Iterator[Problem]:
    """Of the run within the run."""
    record = f"{PLACEBO_PREFIX}/{RECORD_FILE}"
    if not store.exists(record):
        yield Problem(record, "missing")
        return
    try:
        for problem in _sample_problems(RunStore(f"{store.location}/{PLACEBO_PREFIX}", store.vault)):
            yield replace(problem, path=f"{PLACEBO_PREFIX}/{problem.path}")
    except DamagedError:
        yield Problem(record, "damaged")


def _sample_problems(store: RunStore) -> Iterator[Problem]:
    record = read_record(store)
    planned = {f"{SAMPLES_PREFIX}/{shard.file_name}": shard for shard in _planned_shards(store)}
    there = store.sizes(SAMPLES_PREFIX)
    for path, shard in planned.items():
        if path not in there:
            yield Problem(path, "missing")
        elif problem := _shard_problem(store, path, shard, Fingerprint(record.fingerprint)):
            yield problem
    for path in sorted(there.keys() - planned.keys()):
        yield Problem(path, "not part of this run's plan", is_foreign=True)


def _planned_shards(store: RunStore) -> list[Shard]:
    spec = read_record(store).spec
    return plan_shards(spec.samples, spec.samples_per_shard)


def _shard_problem(store: RunStore, path: str, shard: Shard, fingerprint: Fingerprint) -> Problem | None:
    try:
        footer = store.read_footer(path)
        table = store.read_table(path)
    except DamagedError:
        return Problem(path, "damaged")
    if not {"sample_id", "outcome"} <= set(table.column_names):
        return Problem(path, "damaged")
    if differences := fingerprint.differences(Fingerprint(footer.fingerprint)):
        return Problem(path, f"of another spec: {'; '.join(differences)}", is_foreign=True)
    what = _content_problem(footer, table, shard)
    return None if what is None else Problem(path, what)


def _content_problem(footer: Footer, table: pa.Table, shard: Shard) -> str | None:
    ids = table["sample_id"].to_numpy()
    if not np.array_equal(ids, np.arange(shard.first_id, shard.stop_id)):
        return f"its ids are not {shard.first_id} to {shard.stop_id - 1}"
    if (footer.first_id, footer.stop_id, footer.rows) != (shard.first_id, shard.stop_id, len(ids)):
        return "its footer does not fit its rows"
    counts = count_outcomes([{name: 1} for name in table["outcome"].to_pylist()])
    return None if counts == footer.outcomes else "its outcomes do not fit its footer"


def _gallery_problem(store: RunStore) -> str | None:
    if GALLERY_FILE not in store.sizes():
        return "missing"
    try:
        rows = store.read_table(GALLERY_FILE).num_rows
        footer = store.read_footer(GALLERY_FILE)
    except (DamagedError, StoreError):
        return "damaged: delete it, then run the audit again"
    return None if rows == footer.rows else f"has {rows} rows, its footer says {footer.rows}"


def can_be_repaired(problem: Problem) -> bool:
    """A shard of this run that is missing or damaged; what belongs to another spec is never deleted."""
    shards = (f"{SAMPLES_PREFIX}/", f"{PLACEBO_PREFIX}/{SAMPLES_PREFIX}/")
    return problem.path.startswith(shards) and not problem.is_foreign


def advice(problems: Sequence[Problem], location: str) -> str:
    """What helps against these problems, or against the first kind of them that something helps against."""
    if any(can_be_repaired(problem) for problem in problems):
        return f"`idleak repair {location}` makes its shards again"
    if all(problem.path.startswith(f"{TRAIL_PREFIX}/") for problem in problems):
        return "a trail cannot be made again: restore it from a copy"
    return "delete what is damaged, then `idleak audit SPEC` makes it again, and `idleak report` the report"
