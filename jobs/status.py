"""`idleak status RUN`: how far a run is, from another terminal; also one that is over or was killed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import click

from distributed.storage.lock import Holder, lock_holder
from distributed.storage.lost_shards import read_lost_shards
from distributed.storage.progress_record import read_progress
from distributed.storage.results import read_results
from distributed.storage.run_record import read_record
from distributed.storage.shard_index import ShardRun, committed_outcomes
from distributed.storage.store import RunStore
from distributed.storage.tombstone import read_tombstone
from jobs.cli.arguments import StrictCommand, run_argument
from jobs.cli.exit_codes import ExitCode, guarded
from jobs.cli.runs import existing_run
from jobs.cli.say import say
from schemas.errors import UsageError
from schemas.fingerprint import Fingerprint
from schemas.run.artefacts import RECORD_FILE, RESULTS_FILE, SAMPLES_PREFIX
from schemas.run.progress import StageProgress
from schemas.run.shard import count_outcomes, plan_shards
from schemas.run.tables import invalid_count
from schemas.wording import format_seconds, format_shares


@click.command("status", cls=StrictCommand, help=__doc__)
@run_argument
def command(run: str) -> int:
    return guarded(lambda: _run(existing_run(run)))


def _run(store: RunStore) -> ExitCode:
    if (stone := read_tombstone(store)) is not None:
        say(f"{store.location}: purged {stone.purged} by {stone.who}; nothing of the run is left")
        return ExitCode.OK
    holder, progress = lock_holder(store), read_progress(store)
    recorded, finished = store.exists(RECORD_FILE), store.exists(RESULTS_FILE)
    if not (holder or progress or recorded):
        raise UsageError(f"{store.location} holds no run: give the `output` of a spec")
    say(f"{store.location}: {_state(holder, finished)}")
    if recorded:
        say(*_sample_lines(store))
        for shard in read_lost_shards(store, SAMPLES_PREFIX):
            say(f"  shard {shard.index} failed {shard.attempts} attempts: {shard.reason}")
    if progress is not None:
        say(*_stage_lines(progress, is_running=holder is not None and not holder.has_ended))
    if finished:
        say(f"  results.json was made in: {_jobs_times(read_results(store).seconds)}")
    return ExitCode.OK


def _jobs_times(seconds: Mapping[str, float]) -> str:
    """Of the jobs; the stages of their shards overlap, and are left out."""
    jobs = {name: spent for name, spent in seconds.items() if "." not in name}
    return ", ".join(f"{name} {format_seconds(spent)}" for name, spent in jobs.items())


def _state(holder: Holder | None, finished: bool) -> str:
    if holder is None:
        return "finished" if finished else "stopped; run the same command to go on"
    if holder.has_ended:
        return f"process {holder.pid} was killed at work on it; run the same command to go on"
    return f"process {holder.pid} on {holder.host} works on it"


def _sample_lines(store: RunStore) -> Iterator[str]:
    """What is there, by the files themselves."""
    record = read_record(store)
    shards = plan_shards(record.spec.samples, record.spec.shard_size)
    made = committed_outcomes(
        ShardRun(record.spec, Fingerprint(record.fingerprint), SAMPLES_PREFIX, shards), store
    )
    outcomes = count_outcomes(list(made.values()))
    done, all_ = sum(outcomes.values()), record.spec.samples
    yield f"  samples: {done:,} of {all_:,} ({done / all_:.0%}), {len(made):,} of {len(shards):,} shards"
    if outcomes:
        yield f"  outcomes: {_counts(outcomes)}; {invalid_count(outcomes):,} are no images"


def _counts(outcomes: Mapping[str, int]) -> str:
    ordered = sorted(outcomes.items(), key=lambda item: -item[1])
    return ", ".join(f"{count:,} {name}" for name, count in ordered)


def _stage_lines(progress: StageProgress, *, is_running: bool) -> Iterator[str]:
    """What the process at work wrote last."""
    ago = format_seconds(max(0.0, time.time() - progress.updated))
    unit = "samples compared" if progress.stage == "reducing" else "images made"
    yield f"  {progress.stage}: {progress.done:,} of {progress.todo:,} {unit}, as of {ago} ago"
    if progress.rate is not None:
        left = (progress.todo - progress.done) / progress.rate
        rest = f", {format_seconds(left)} left" if is_running and left else ""
        yield f"  rate: {progress.rate:,.1f} {unit.split()[0]}/s{rest}"
    if is_running and progress.workers:
        yield f"  workers: {progress.workers}"
    if failed := progress.tried_again + progress.set_aside:
        yield f"  attempts that failed: {failed:,}; failed shards: {progress.set_aside:,}"
    if progress.seconds:
        yield f"  workers' time: {format_shares(progress.seconds)}"
