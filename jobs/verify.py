"""`idleak verify RUN`: check every file of a run; name what is missing or damaged."""

from __future__ import annotations

import click

from distributed.stages.verify import Problem, advice, find_problems
from distributed.storage.run_record import read_record
from distributed.storage.store import RunStore
from distributed.storage.tombstone import left_of, read_tombstone
from distributed.storage.trail import entries, head, replay
from jobs.cli.arguments import StrictCommand, run_argument
from jobs.cli.exit_codes import ExitCode, guarded
from jobs.cli.runs import existing_run
from jobs.cli.say import say
from schemas.run.artefacts import GALLERY_FILE
from schemas.run.erasures import Tombstone
from schemas.run.shard import plan_shards


@click.command("verify", cls=StrictCommand, help=__doc__)
@run_argument
def command(run: str) -> int:
    return guarded(lambda: _run(run))


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
        say(f"{len(problems)} problems in {location}; {advice(problems, location)}")
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
