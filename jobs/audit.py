"""`idleak audit SPEC`: sample, enroll, reduce, and say who is leaked. Run again, it resumes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from distributed.cluster import Cluster
from distributed.labels import require_usable_labels
from distributed.lock import run_lock
from distributed.store import RunStore
from jobs.command import spec_command
from jobs.enroll import Enrolment, enroll, refused_lines
from jobs.exit_codes import ExitCode
from jobs.findings import print_findings, read_results
from jobs.reduce import reduce, verdict_fingerprint
from jobs.results import write_results
from jobs.sample import sample
from jobs.top_matches import draw_top_matches
from schemas.layout import MATCHES_FILE, RESULTS_FILE
from schemas.spec import AuditSpec


def main(argv: Sequence[str]) -> int:
    return spec_command("audit", __doc__, argv, _run)


def _run(spec: AuditSpec) -> ExitCode:
    store = RunStore(spec.output)
    with run_lock(store), Cluster() as cluster:
        audit(spec, store, cluster)
    print_findings(store)
    return ExitCode.OK


def audit(spec: AuditSpec, store: RunStore, cluster: Cluster) -> None:
    """Do what is not done yet of the whole audit. Raises what `enroll`, `sample` and `reduce` raise."""
    seconds: dict[str, float] = {}
    # The gallery is small, and what is wrong with it had better be known before the long work.
    with _timed(seconds, "enroll"):
        enrolment = enroll(spec, store, cluster)
    for line in refused_lines(enrolment.table):
        print(line)
    require_usable_labels(spec, enrolment.table)
    with _timed(seconds, "sample"):
        made = sample(spec, store, cluster)
    if made.made_now == 0 and is_finished(spec, enrolment, store):
        return
    with _timed(seconds, "reduce"):
        reduction = reduce(spec, enrolment, store, cluster)
    device = cluster.capacity(spec.resources).device
    fingerprint = verdict_fingerprint(spec, enrolment)
    results = write_results(spec, made, enrolment, reduction, fingerprint, store, seconds, device)
    draw_top_matches(spec, results.scores[results.headline], store, device)


def is_finished(spec: AuditSpec, enrolment: Enrolment, store: RunStore) -> bool:
    """True if the run's results are there and rest on just these samples, gallery and settings."""
    if not {RESULTS_FILE, MATCHES_FILE} <= store.sizes().keys():
        return False
    results = read_results(store)
    entered = spec.ledger is None or results.ledger is not None
    return entered and results.verdict_fingerprint_sha256 == verdict_fingerprint(spec, enrolment).digest


@contextmanager
def _timed(seconds: dict[str, float], job: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[job] = time.perf_counter() - start
