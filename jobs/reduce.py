"""`idleak reduce SPEC`: neighbours, scores and verdicts from the samples and the gallery that are there."""

from __future__ import annotations

from pathlib import Path

import click

from distributed.storage.store import RunStore
from jobs.cli.arguments import StrictCommand, override_option, spec_argument
from jobs.cli.exit_codes import ExitCode
from jobs.cli.findings import print_findings
from jobs.cli.runs import act_on
from jobs.cli.work import ray_executor, watching
from schemas.spec.audit import AuditSpec


@click.command("reduce", cls=StrictCommand, help=__doc__)
@spec_argument
@override_option
def command(spec: Path, *, override: str | None) -> int:
    return act_on(spec, "reduce", override, _run)


def _run(spec: AuditSpec, store: RunStore) -> ExitCode:
    # onnxruntime, FAISS and scipy, which take seconds to import.
    from distributed.gallery.labels import require_usable_labels
    from distributed.gallery.source import gallery_source
    from distributed.stages.fingerprints import verdict_fingerprint
    from distributed.stages.gallery_check import require_usable_gallery
    from distributed.stages.reduce import committed, reduce
    from distributed.stages.results.write import write_results
    from distributed.storage.run_record import with_recorded_shards

    spec = with_recorded_shards(spec, store)
    with ray_executor() as executor:
        made, enrolment = committed(spec, store)
        require_usable_gallery(spec, enrolment.compared, gallery_source(spec, store).photos, executor)
        require_usable_labels(spec, enrolment.table)
        assessment = reduce(spec, enrolment, store, executor, watching(store, spec))
        fingerprint = verdict_fingerprint(spec, enrolment.fingerprint)
        write_results(spec, made, enrolment, assessment, fingerprint, store, {})
    print_findings(store)
    return ExitCode.OK
