"""What all jobs share: a run at hand, and how errors become one line and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from distributed.execution.stopping import stop_signals_handled
from distributed.storage.authorisation import permit
from distributed.storage.lock import run_lock
from distributed.storage.run_record import read_record
from distributed.storage.store import RunStore, open_run, under_key
from distributed.storage.store_faults import store_error
from distributed.storage.tombstone import require_not_purged
from distributed.storage.trail import record
from jobs.cli.exit_codes import ExitCode, code_of
from jobs.cli.log import configure_log, tell_end
from jobs.cli.output import OutputLostError
from jobs.cli.say import print_error
from schemas.errors import IdleakError, UsageError
from schemas.file_names import require_file_name
from schemas.run.artefacts import RECORD_FILE
from schemas.spec.audit import AuditSpec
from schemas.spec.load import load_spec
from schemas.spec.locations import is_remote

OF_THE_SYSTEM = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
)
"""What is no fault of the code: a file that is missing, or there already, may be one."""


def act_on(
    spec_path: Path, action: str, override: str | None, run: Callable[[AuditSpec, RunStore], ExitCode]
) -> int:
    """Run a job that works on a spec's run: by somebody's word, alone, and recorded in the run's trail."""

    def act() -> ExitCode:
        spec = load_spec(spec_path)
        with acting(action, spec, override) as store:
            return run(spec, store)

    return guarded(act)


@contextmanager
def acting(action: str, spec: AuditSpec, override: str | None) -> Iterator[RunStore]:
    """The files of a spec's run, locked. Raises AuthorisationError before anything is made or read."""
    permission = permit(spec, override)
    store = open_run(spec)
    require_not_purged(store)
    with run_lock(store):
        record(store, action, **permission, samples=spec.samples)
        yield store


def existing_run(location: str) -> RunStore:
    """The run at a folder or bucket address, under the key that its record names.

    Raises UsageError if there is no such folder.
    """
    if not is_remote(location) and not Path(location).is_dir():
        raise UsageError(f"{location} is not a folder; give the `output` of a spec")
    store = RunStore(location)
    if not store.exists(RECORD_FILE):
        return store
    return under_key(store, read_record(store).spec.protection)


def guarded(run: Callable[[], ExitCode | int]) -> int:
    """Turn an expected error into one line on stderr, and into its exit code.

    A log for machines gets the kind of the error alone: its message may name a photo, and so a person.
    """
    try:
        configure_log()
        with stop_signals_handled(), system_errors_named():
            code = run()
        tell_end(code)
    except IdleakError as error:
        code = code_of(error)
        tell_end(code, type(error).__name__)
        print_error(f"idleak: {error}")
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
        tell_end(code, KeyboardInterrupt.__name__)
        print_error("idleak: interrupted; finished shards are kept, run the same command to go on")
    except OutputLostError as error:
        tell_end(error.exit_code, OutputLostError.__name__)
        raise
    return code


@contextmanager
def system_errors_named() -> Iterator[None]:
    """Raise StoreError, or SpecError, that names the file in place of what the system refused.

    All other errors stay as they are, with their traceback.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in OF_THE_SYSTEM or not isinstance(error.filename, str | bytes):
            raise
        raise store_error("use", os.fsdecode(error.filename), error) from error
    except UnicodeEncodeError as error:
        if error.encoding == sys.getfilesystemencoding():
            require_file_name(error.object)
        raise
