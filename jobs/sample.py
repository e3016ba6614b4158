"""`idleak sample SPEC`: draw the samples and embed their faces into `samples/shard-*.parquet`."""

from __future__ import annotations

from pathlib import Path

import click

from distributed.storage.store import RunStore
from jobs.cli.arguments import StrictCommand, override_option, spec_argument
from jobs.cli.exit_codes import ExitCode
from jobs.cli.runs import act_on
from jobs.cli.say import say, say_next
from jobs.cli.work import ray_executor, watching
from schemas.run.artefacts import GALLERY_FILE
from schemas.spec.audit import AuditSpec


@click.command("sample", cls=StrictCommand, help=__doc__)
@spec_argument
@override_option
def command(spec: Path, *, override: str | None) -> int:
    return act_on(spec, "sample", override, lambda audit, store: _run(audit, store, spec))


def _run(spec: AuditSpec, store: RunStore, path: Path) -> ExitCode:
    # onnxruntime, which takes seconds to import.
    from distributed.stages.placebo import sample_with_placebo

    with ray_executor() as executor:
        made, placebo = sample_with_placebo(spec, store, executor, watching(store, spec))
    counts = ", ".join(f"{count:,} {name}" for name, count in made.outcomes.items())
    say(f"{made.shards:,} shards, {made.made_now:,} of them made now, in {spec.output}: {counts}")
    if placebo is not None:
        say(f"{placebo.shards:,} shards of the placebo, {placebo.made_now:,} of them made now")
    step = "reduce" if store.exists(GALLERY_FILE) else "enroll"
    say_next(f"idleak audit {path} goes on from here; alone: idleak {step} {path}")
    return ExitCode.OK
