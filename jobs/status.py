"""`idleak status RUN`: how far a run is, from another terminal; also one that is over or was killed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import click

from distributed.storage.lock import Holder
from distributed.storage.run_state import RunState, SamplesState, job_seconds, read_state
from distributed.storage.store import RunStore
from jobs.cli.arguments import StrictCommand, run_argument
from jobs.cli.exit_codes import ExitCode
from jobs.cli.runs import existing_run
from jobs.cli.say import say, say_next
from schemas.run.progress import StageProgress
from schemas.wording import format_seconds, format_shares


@click.command("status", cls=StrictCommand, help=__doc__)
@run_argument
def command(run: str) -> ExitCode:
    store = existing_run(run)
    state = read_state(store)
    if not isinstance(state, RunState):
        say(f"{store.location}: purged {state.purged} by {state.who}; nothing of the run is left")
        say_next(f"idleak verify {store.location} checks the trail that is left")
        return ExitCode.OK
    say(f"{store.location}: {_activity(state.holder, state.is_finished)}")
    if state.samples is not None:
        say(*_sample_lines("samples", state.samples))
    if state.placebo is not None:
        say(*_sample_lines("placebo's samples", state.placebo))
    if state.progress is not None:
        is_running = state.holder is not None and not state.holder.has_ended
        say(*_stage_lines(state.progress, is_running=is_running))
    if state.is_finished:
        times = (f"{name} {format_seconds(spent)}" for name, spent in job_seconds(store).items())
        say(f"  results.json was made in: {', '.join(times)}")
    say_next(_next(store, state))
    return ExitCode.OK


def _next(store: RunStore, state: RunState) -> str:
    if state.holder is not None and not state.holder.has_ended:
        return f"idleak status {store.location} again"
    if state.is_finished:
        return f"idleak report {store.location}"
    return "the same command as before goes on, idleak audit SPEC"


def _activity(holder: Holder | None, finished: bool) -> str:
    if holder is None:
        return "finished" if finished else "stopped"
    if holder.has_ended:
        return f"process {holder.pid} was killed at work on it"
    return f"process {holder.pid} on {holder.host} works on it"


def _sample_lines(what: str, samples: SamplesState) -> Iterator[str]:
    """What is there, by the files themselves."""
    done, planned = samples.there, samples.planned
    shards = f"{samples.shards:,} of {samples.planned_shards:,} shards"
    yield f"  {what}: {done:,} of {planned:,} ({done / planned:.0%}), {shards}"
    if samples.outcomes:
        yield f"  outcomes: {_counts(samples.outcomes)}; {samples.invalid:,} are no images"
    for shard in samples.lost:
        yield f"  shard {shard.index} failed {shard.attempts} attempts: {shard.reason}"


def _counts(outcomes: Mapping[str, int]) -> str:
    ordered = sorted(outcomes.items(), key=lambda item: -item[1])
    return ", ".join(f"{count:,} {name}" for name, count in ordered)


UNITS = {"reducing": "samples compared", "judging": "steps done"}


def _stage_lines(progress: StageProgress, *, is_running: bool) -> Iterator[str]:
    """What the process at work wrote last."""
    ago = format_seconds(max(0.0, time.time() - progress.updated))
    verb, _, _ = progress.stage.partition(" ")
    unit = UNITS.get(verb, "images made")
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
