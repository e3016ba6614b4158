"""An audit, done from Python or by `idleak audit`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from distributed.stages.finished import is_finished
from distributed.storage.store import RunStore
from jobs.api.run import Run
from jobs.api.spec_source import SpecSource, spec_of
from jobs.api.telling import Tell, at_work
from jobs.cli.exit_codes import system_errors_named
from jobs.cli.gallery import overlap_lines, refused_lines
from jobs.cli.runs import acting
from jobs.cli.say import notice_lines
from jobs.cli.work import ray_executor, watching
from jobs.pages.finished_run import read_finished
from schemas.errors import IdleakError
from schemas.run.artefacts import ERROR_FILE, GALLERY_FILE
from schemas.spec.audit import AuditSpec

if TYPE_CHECKING:
    from distributed.stages.enrolling.enrolment import Enrolment


def audit(
    spec: SpecSource, *, override: str | None = None, named: bool = True, tell: Tell | None = None
) -> Run:
    """Do what is not done yet of an audit, as `idleak audit` does; call it again, and it resumes.

    It works on the Ray that `ray.init` has joined or started, else on that of `RAY_ADDRESS`, else on one of
    its own, which ends with it.

    override: the reason to run without a valid authorisation, which is kept in the results.
    named: whether lines may hold pseudonyms, and errors names; if not, an error that would is kept in the
    run's folder instead.
    tell: is given a line for each thing to say, progress among them, such as `print`.
    Raises the errors of `schemas/errors.py`: SpecError for what the spec names and cannot be used,
    AuthorisationError, LockedError, WrongRunError, ShardsLostError, StoppedError and others.
    """
    given = spec_of(spec)
    with at_work(tell) as said:
        store = carry_out(given, override, said, named=named, bar=False)
        return Run(read_finished(store))


def carry_out(spec: AuditSpec, override: str | None, tell: Tell, *, named: bool, bar: bool) -> RunStore:
    """The run of the audit, done. bar: progress may be drawn on a terminal. Raises as `audit`."""
    with acting("audit", spec, override) as store, nullcontext() if named else _unnamed(store):
        if is_finished(spec, store):
            _tell_refused(tell, refused_lines(store.read_table(GALLERY_FILE)), named=named)
        else:
            _do(spec, store, tell, named=named, bar=bar)
    return store


def _do(spec: AuditSpec, store: RunStore, tell: Tell, *, named: bool, bar: bool) -> None:
    # Imported only here: a finished audit needs no Ray, no models and no FAISS, and is told in a second.
    from distributed.stages.audit import audit as audit_stages

    def on_enrolled(enrolment: Enrolment) -> None:
        _tell_all(tell, notice_lines(enrolment.notices, named=False))
        _tell_refused(tell, refused_lines(enrolment.table, enrolment.reasons), named=named)
        _tell_all(tell, overlap_lines(enrolment.overlap, named=named))

    with ray_executor() as executor:
        audit_stages(spec, store, executor, watching(store, spec, bar=bar), on_enrolled)


def _tell_all(tell: Callable[[str], object], lines: Sequence[str]) -> None:
    for line in lines:
        tell(line)


def _tell_refused(tell: Tell, lines: Sequence[str], *, named: bool) -> None:
    _tell_all(tell, lines if named else [f"refused photos: {len(lines)}"] if lines else [])


@contextmanager
def _unnamed(store: RunStore) -> Iterator[None]:
    """Keep an error whose message may name somebody in the run's folder, and tell where it is."""
    try:
        with system_errors_named():
            yield
    except IdleakError as error:
        if not error.may_name_people:
            raise
        store.write(ERROR_FILE, f"{error}\n".encode())
        raise type(error)(
            f"{type(error).__name__}: {ERROR_FILE} in {store.location} says what, and may name people"
        ) from error
    store.delete(ERROR_FILE)
