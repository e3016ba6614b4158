"""`idleak verify RUN`: check every file of a run; name what is missing or damaged."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from distributed.storage.run_record import RunRecord, read_record
from distributed.storage.store import RunStore
from distributed.storage.tombstone import Tombstone, left_of, read_tombstone
from distributed.storage.trail import entries, head, replay
from jobs.cli.command import existing_run, guarded
from jobs.cli.exit_codes import ExitCode
from jobs.cli.say import say
from schemas.errors import DamagedError, StoreError
from schemas.fingerprint import Fingerprint
from schemas.run.artefacts import GALLERY_FILE, SAMPLES_PREFIX
from schemas.run.shard import Footer, Shard, count_outcomes, plan_shards


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="idleak verify", description=__doc__)
    parser.add_argument("run", metavar="RUN", help="the run's folder or bucket address: the spec's `output`")
    location: str = parser.parse_args(argv).run
    return guarded(lambda: _run(location))


def _run(location: str) -> ExitCode:
    store = existing_run(location)
    if (stone := read_tombstone(store)) is not None:
        return _tell_purged(store, stone)
    record = read_record(store)
    problems = list(find_problems(store, record))
    problems += [Problem(path, what, is_foreign=True) for path, what in replay(store)]
    for problem in problems:
        say(str(problem))
    shards = len(plan_shards(record.spec.samples, record.spec.shard_size))
    if problems:
        say(f"{len(problems)} problems in {location}; `idleak repair {location}` makes its shards again")
        return ExitCode.DAMAGED
    say(f"{location}: {shards} shards and {GALLERY_FILE} are complete and match their checksums")
    say(f"the trail of {sum(1 for _ in entries(store))} acts holds; its head is {head(store)}")
    return ExitCode.OK


def _tell_purged(store: RunStore, stone: Tombstone) -> ExitCode:
    problems = [*replay(store), *((path, "is left of a purged run") for path in left_of(store))]
    for path, what in problems:
        say(f"{path}: {what}")
    say(f"{store.location}: purged on {stone.purged} by {stone.who}; the trail's head is {head(store)}")
    return ExitCode.DAMAGED if problems else ExitCode.OK


@dataclass(frozen=True)
class Problem:
    """What is wrong with one file. is_foreign: it is not of this run, so that it must not be touched."""

    path: str
    what: str
    is_foreign: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


def find_problems(store: RunStore, record: RunRecord) -> Iterator[Problem]:
    """Each file that is missing, damaged, unexpected, or of another spec."""
    shards = plan_shards(record.spec.samples, record.spec.shard_size)
    planned = {f"{SAMPLES_PREFIX}/{shard.file_name}": shard for shard in shards}
    there = store.sizes(SAMPLES_PREFIX)
    for path, shard in planned.items():
        if path not in there:
            yield Problem(path, "missing")
        elif problem := _shard_problem(store, path, shard, Fingerprint(record.fingerprint)):
            yield problem
    for path in sorted(there.keys() - planned.keys()):
        yield Problem(path, "not part of this run's plan", is_foreign=True)
    if what := _gallery_problem(store):
        yield Problem(GALLERY_FILE, what)


def _shard_problem(store: RunStore, path: str, shard: Shard, fingerprint: Fingerprint) -> Problem | None:
    try:
        footer = store.read_footer(path)
        table = store.read_table(path)
    except DamagedError:
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
