"""`idleak audit SPEC`: sample, enroll, reduce, and say who is leaked. Run again, it resumes."""

from __future__ import annotations

from collections.abc import Sequence

from distributed.lock import run_lock
from distributed.store import RunStore
from jobs.command import spec_command
from jobs.exit_codes import ExitCode
from jobs.findings import print_findings, refused_lines
from jobs.finished import is_finished
from schemas.layout import GALLERY_FILE
from schemas.spec import AuditSpec


def main(argv: Sequence[str]) -> int:
    return spec_command("audit", __doc__, argv, _run)


def _run(spec: AuditSpec) -> ExitCode:
    store = RunStore(spec.output)
    with run_lock(store):
        if is_finished(spec, store):
            for line in refused_lines(store.read_table(GALLERY_FILE)):
                print(line)
        else:
            _do(spec, store)
    print_findings(store)
    return ExitCode.OK


def _do(spec: AuditSpec, store: RunStore) -> None:
    # Imported only here: a finished audit needs no Ray, no models and no FAISS, and is told in a second.
    from distributed.cluster import Cluster
    from jobs.whole_audit import audit

    with Cluster() as cluster:
        audit(spec, store, cluster)
