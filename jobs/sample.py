"""`idleak sample SPEC`: draw the samples and embed their faces into `samples/shard-*.parquet`."""

from __future__ import annotations

from collections.abc import Sequence

from distributed.stages.sample import sample
from distributed.storage.store import RunStore
from jobs.cli.command import act_command
from jobs.cli.exit_codes import ExitCode
from jobs.cli.progress import watching
from jobs.cli.ray import ray_executor
from jobs.cli.say import say
from schemas.spec.audit import AuditSpec


def main(argv: Sequence[str]) -> int:
    return act_command("sample", __doc__, argv, _run)


def _run(spec: AuditSpec, store: RunStore) -> ExitCode:
    with ray_executor() as executor:
        made = sample(spec, store, executor, watching(store, spec))
    counts = ", ".join(f"{count:,} {name}" for name, count in made.outcomes.items())
    say(f"{made.shards:,} shards, {made.made_now:,} of them made now, in {spec.output}: {counts}")
    return ExitCode.OK
