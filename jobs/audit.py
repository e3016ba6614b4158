"""`idleak audit SPEC`: sample, enroll, reduce, and say who is leaked. Run again, it resumes."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from distributed.stages.authorise import add_override
from distributed.stages.finished import is_finished
from distributed.storage.store import RunStore
from jobs.cli.command import NAMELESS_ERRORS, acting, guarded
from jobs.cli.exit_codes import ExitCode
from jobs.cli.findings import print_findings, refused_lines
from jobs.cli.os_errors import os_errors_told
from jobs.cli.overlap import overlap_lines
from jobs.cli.say import say
from schemas.errors import IdleakError
from schemas.run.artefacts import ERROR_FILE, GALLERY_FILE
from schemas.spec.audit import AuditSpec, load_spec


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="idleak audit", description=__doc__)
    parser.add_argument("spec", type=Path, metavar="SPEC", help="the audit's YAML file")
    parser.add_argument(
        "--unnamed", action="store_true", help="print nobody's name: for logs that others than auditors read"
    )
    add_override(parser)
    arguments = parser.parse_args(argv)
    named, override = not arguments.unnamed, arguments.override_authorisation
    return guarded(lambda: _run(load_spec(arguments.spec), override, named=named))


def _run(spec: AuditSpec, override: str | None, *, named: bool) -> ExitCode:
    with acting("audit", spec, override) as store, nullcontext() if named else _unnamed(store):
        if is_finished(spec, store):
            _say_refused(refused_lines(store.read_table(GALLERY_FILE)), named=named)
        else:
            _do(spec, store, named=named)
    print_findings(store, named=named)
    return ExitCode.OK


def _do(spec: AuditSpec, store: RunStore, *, named: bool) -> None:
    # Imported only here: a finished audit needs no Ray, no models and no FAISS, and is told in a second.
    from distributed.execution.cluster import Cluster
    from distributed.stages.audit import audit

    with Cluster() as cluster:
        audit(
            spec,
            store,
            cluster,
            lambda lines: _say_refused(lines, named=named),
            lambda overlap: say(*overlap_lines(overlap, named=named)),
        )


def _say_refused(lines: Sequence[str], *, named: bool) -> None:
    for line in lines if named else [f"refused photos: {len(lines)}"] if lines else []:
        say(line)


@contextmanager
def _unnamed(store: RunStore) -> Iterator[None]:
    """Keep an error whose message may name somebody in the run's folder, and tell where it is."""
    try:
        with os_errors_told():
            yield
    except NAMELESS_ERRORS:
        raise
    except IdleakError as error:
        store.write(ERROR_FILE, f"{error}\n".encode())
        raise type(error)(
            f"{type(error).__name__}: {ERROR_FILE} in {store.location} says what, and may name people"
        ) from error
    store.delete(ERROR_FILE)
