"""`idleak enroll SPEC`: embed the gallery's photos into `gallery.parquet`; every refused photo is listed."""

from __future__ import annotations

from pathlib import Path

import click

from distributed.storage.store import RunStore
from jobs.cli.arguments import override_option, spec_argument
from jobs.cli.command import act_on
from jobs.cli.exit_codes import ExitCode
from jobs.cli.findings import refused_lines
from jobs.cli.ray import ray_executor
from jobs.cli.strict_command import StrictCommand
from schemas.run.artefacts import GALLERY_FILE
from schemas.spec.audit import AuditSpec


@click.command("enroll", cls=StrictCommand, help=__doc__)
@spec_argument
@override_option
def command(spec: Path, *, override: str | None) -> int:
    return act_on(spec, "enroll", override, _run)


def _run(spec: AuditSpec, store: RunStore) -> ExitCode:
    # onnxruntime and scipy, which take seconds to import.
    from distributed.gallery.enrolled import accepted
    from distributed.stages.enroll import enroll
    from jobs.cli.progress import watching

    with ray_executor() as executor:
        enrolment = enroll(spec, store, executor, watching(store, spec))
    for line in refused_lines(enrolment.table):
        print(line)
    count = accepted(enrolment.table).num_rows
    print(f"{count:,} of {enrolment.table.num_rows:,} photos enrolled in {spec.output}/{GALLERY_FILE}")
    return ExitCode.OK
