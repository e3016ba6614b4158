"""`idleak sample SPEC`: draw the samples and embed their faces into `samples/shard-*.parquet`."""

from __future__ import annotations

from pathlib import Path

import click

from jobs.cli.arguments import StrictCommand, override_option, spec_argument
from jobs.cli.exit_codes import ExitCode
from jobs.cli.runs import acting
from jobs.cli.say import say, say_next
from jobs.cli.work import ray_executor, watching
from schemas.run.artefacts import GALLERY_FILE
from schemas.spec.load import load_spec


@click.command("sample", cls=StrictCommand, help=__doc__)
@spec_argument
@override_option
def command(spec: Path, *, override: str | None) -> ExitCode:
    # onnxruntime, which takes seconds to import.
    from distributed.stages.placebo import sample_with_placebo

    audit = load_spec(spec)
    with acting("sample", audit, override) as store:
        with ray_executor() as executor:
            made, placebo = sample_with_placebo(audit, store, executor, watching(store, audit))
        counts = ", ".join(f"{count:,} {name}" for name, count in made.outcomes.items())
        say(f"{made.shards:,} shards, {made.made_now:,} of them made now, in {audit.output}: {counts}")
        if placebo is not None:
            say(f"{placebo.shards:,} shards of the placebo, {placebo.made_now:,} of them made now")
        step = "reduce" if store.exists(GALLERY_FILE) else "enroll"
        say_next(f"idleak audit {spec} goes on from here; alone: idleak {step} {spec}")
    return ExitCode.OK
