"""`idleak reduce SPEC`: neighbours, scores and verdicts from the samples and the gallery that are there."""

from __future__ import annotations

from pathlib import Path

import click

from jobs.cli.arguments import StrictCommand, override_option, spec_argument
from jobs.cli.exit_codes import ExitCode
from jobs.cli.findings import print_findings
from jobs.cli.runs import acting
from jobs.cli.work import ray_executor, watching
from schemas.spec.load import load_spec


@click.command("reduce", cls=StrictCommand, help=__doc__)
@spec_argument
@override_option
def command(spec: Path, *, override: str | None) -> ExitCode:
    # onnxruntime, FAISS and scipy, which take seconds to import.
    from distributed.stages.judging.judge_again import judge_committed
    from distributed.storage.run_record import with_recorded_shards

    audit = load_spec(spec)
    with acting("reduce", audit, override) as store:
        audit = with_recorded_shards(audit, store)
        with ray_executor() as executor:
            judge_committed(audit, store, executor, watching(store, audit))
        print_findings(store)
    return ExitCode.OK
