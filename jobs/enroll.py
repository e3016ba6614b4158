"""`idleak enroll SPEC`: embed the gallery's photos into `gallery.parquet`; every refused photo is listed."""

from __future__ import annotations

from collections.abc import Sequence

from distributed.gallery.enrolled import accepted
from distributed.stages.enroll import enroll
from distributed.storage.store import RunStore
from jobs.cli.command import act_command
from jobs.cli.exit_codes import ExitCode
from jobs.cli.findings import refused_lines
from jobs.cli.progress import watching
from jobs.cli.ray import ray_executor
from schemas.run.artefacts import GALLERY_FILE
from schemas.spec.audit import AuditSpec


def main(argv: Sequence[str]) -> int:
    return act_command("enroll", __doc__, argv, _run)


def _run(spec: AuditSpec, store: RunStore) -> ExitCode:
    with ray_executor() as executor:
        enrolment = enroll(spec, store, executor, watching(store, spec))
    for line in refused_lines(enrolment.table):
        print(line)
    count = accepted(enrolment.table).num_rows
    print(f"{count:,} of {enrolment.table.num_rows:,} photos enrolled in {spec.output}/{GALLERY_FILE}")
    return ExitCode.OK
