"""`idleak purge RUN`: ask, then erase a run, or with --identity one person from it, and give a receipt."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from distributed.stages.receipt import require_writable, write_receipt
from distributed.storage.lock import run_lock
from distributed.storage.run_record import read_record
from distributed.storage.store import RunStore
from distributed.storage.tombstone import Tombstone, left_of
from distributed.storage.trail import actor, head, record
from jobs.cli.command import existing_run, guarded
from jobs.cli.consent import agreed
from jobs.cli.exit_codes import ExitCode
from jobs.cli.say import complain, say
from schemas.errors import SpecError, StoreError
from schemas.run.artefacts import RECORD_FILE, TOMBSTONE_FILE


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="idleak purge", description=__doc__)
    parser.add_argument("run", metavar="RUN", help="the run's folder or bucket address: the spec's `output`")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--identity", metavar="WHO", help="one person alone, by name or pseudonym; - reads it from stdin"
    )
    what.add_argument(
        "--if-due", action="store_true", help="only past the run's `retain_until`; for a scheduler"
    )
    sure = parser.add_mutually_exclusive_group()
    sure.add_argument("--yes", action="store_true", help="do not ask; for scripts, which have no terminal")
    sure.add_argument("--dry-run", action="store_true", help="list what would go, and erase nothing")
    parser.add_argument("--receipt", type=Path, metavar="FILE", help="put a copy of the receipt there")
    return guarded(lambda: _run(parser.parse_args(argv)))


def _run(chosen: argparse.Namespace) -> ExitCode:
    require_writable(chosen.receipt)
    store = existing_run(chosen.run)
    if not store.exists(RECORD_FILE) and not store.exists(TOMBSTONE_FILE):
        raise SpecError(f"{store.location} holds no run: give the `output` of a spec")
    if chosen.identity is not None:
        return _erase(store, chosen)
    if chosen.if_due and not _is_due(store, datetime.now(UTC).date()):
        say(f"{store.location}: not due yet, nothing was deleted")
        return ExitCode.OK
    there = left_of(store)
    total = f"{len(there)} files, {sum(there.values()):,} bytes"
    if chosen.dry_run:
        say(*there, f"{store.location}: {total} would be deleted")
        return ExitCode.OK
    if not (chosen.yes or agreed(f"Erase the run in {store.location}, {total}?")):
        return _kept()
    return purge(store, chosen.receipt)


def _erase(store: RunStore, chosen: argparse.Namespace) -> ExitCode:
    # Torch and FAISS, which only judging anew needs.
    from distributed.stages.erase import erase, planned_erasure

    who = sys.stdin.readline().strip() if chosen.identity == "-" else chosen.identity
    plan = planned_erasure(store, who)
    if chosen.dry_run:
        say(
            *(f"{path}: deleted" for path in plan.deleted),
            *(f"{path}: made anew" for path in plan.rewritten),
            f"{store.location}: {plan.person} would be erased, {plan.photos} photos",
        )
        return ExitCode.OK
    if not (chosen.yes or agreed(f"Erase {plan.person}, {plan.photos} photos, from {store.location}?")):
        return _kept()
    return erase(store, who, chosen.receipt)


def _kept() -> ExitCode:
    complain("idleak: nothing was erased")
    return ExitCode.FAILED


def _is_due(store: RunStore, today: date) -> bool:
    if not store.exists(RECORD_FILE):
        return True
    until = read_record(store).spec.protection.retain_until
    if until is None:
        raise SpecError(f"{store.location} has no protection.retain_until: purge it without --if-due")
    return until < today


def purge(store: RunStore, copy: Path | None = None) -> ExitCode:
    """Delete all of a run but its trail, with a tombstone first, so that nothing makes it anew."""
    with run_lock(store):
        deleted = left_of(store)
        store.require_inside(*deleted)
        if not store.exists(TOMBSTONE_FILE):
            store.write(TOMBSTONE_FILE, _tombstone(store, deleted))
        for path in deleted:
            store.delete(path)
        store.drop_empty_folders()
        # The key may be gone already, and that is no reason to keep what it protected.
        keyless = RunStore(store.location)
        record(keyless, "purged", deleted=sorted(deleted), bytes=sum(deleted.values()))
        receipt = write_receipt(keyless, None, deleted, [], copy)
    if left := left_of(store):
        raise StoreError(f"{len(left)} files of {store.location} are still there: purge it again")
    say(
        f"{store.location}: {len(deleted)} files, {sum(deleted.values()):,} bytes deleted; receipt: {receipt}"
    )
    return ExitCode.OK


def _tombstone(store: RunStore, deleted: dict[str, int]) -> bytes:
    stone = Tombstone(
        run=store.location,
        purged=datetime.now(UTC).isoformat(timespec="seconds"),
        who=actor(),
        files=len(deleted),
        bytes=sum(deleted.values()),
        trail=head(store),
    )
    return (stone.model_dump_json(indent=2) + "\n").encode()
