"""`idleak reduce SPEC`: neighbours, scores and verdicts from the samples and the gallery that are there."""

from __future__ import annotations

from collections.abc import Sequence

from distributed.gallery.labels import require_usable_labels
from distributed.stages.fingerprints import verdict_fingerprint
from distributed.stages.reduce import committed, reduce
from distributed.stages.results import write_results
from distributed.storage.store import RunStore
from jobs.cli.command import act_command
from jobs.cli.exit_codes import ExitCode
from jobs.cli.findings import print_findings
from jobs.cli.progress import watching
from jobs.cli.ray import ray_executor
from schemas.spec.audit import AuditSpec


def main(argv: Sequence[str]) -> int:
    return act_command("reduce", __doc__, argv, _run)


def _run(spec: AuditSpec, store: RunStore) -> ExitCode:
    with ray_executor() as executor:
        made, enrolment = committed(spec, store)
        require_usable_labels(spec, enrolment.table)
        reduction = reduce(spec, enrolment, store, executor, watching(store, spec))
        fingerprint = verdict_fingerprint(spec, enrolment.fingerprint)
        write_results(spec, made, enrolment, reduction, fingerprint, store, {})
    print_findings(store)
    return ExitCode.OK
