"""`idleak purge RUN`: ask, then erase a run, or with --identity one person from it, and give a receipt."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from distributed.stages.upkeep.purge import is_due, planned_purge, purge
from distributed.storage.store import RunStore
from jobs.cli.arguments import FILE, StrictCommand, require_at_most_one, require_writable, run_argument
from jobs.cli.exit_codes import ExitCode
from jobs.cli.runs import existing_run
from jobs.cli.say import ask, print_error, say, say_next
from jobs.cli.work import ray_executor, watching

UNATTENDED = (
    "nothing was erased, as nobody is here to be asked: give --yes to erase without a question, or "
    "--dry-run to see what would go"
)
DO_IT = "the same command without --dry-run does it"


@dataclass(frozen=True)
class Consent:
    """yes: nobody is asked. dry_run: what would go is listed, and nothing is erased."""

    yes: bool
    dry_run: bool

    def given(self, question: str) -> bool:
        """Whether to go on. Raises UsageError where nobody is at a terminal to be asked."""
        if self.yes or ask(question, UNATTENDED):
            return True
        print_error("idleak: nothing was erased")
        return False


@click.command("purge", cls=StrictCommand, help=__doc__)
@run_argument
@click.option(
    "--identity", metavar="WHO", help="one person alone, by name or pseudonym; - reads it from stdin"
)
@click.option("--if-due", is_flag=True, help="only past the run's `retain_until`; for a scheduler")
@click.option("--yes", is_flag=True, help="do not ask; for scripts, which have no terminal")
@click.option("--dry-run", is_flag=True, help="list what would go, and erase nothing")
@click.option("--receipt", type=FILE, metavar="FILE", help="put a copy of the receipt there")
def command(
    run: str, *, identity: str | None, if_due: bool, yes: bool, dry_run: bool, receipt: Path | None
) -> ExitCode:
    require_at_most_one({"--identity": identity, "--if-due": if_due})
    require_at_most_one({"--yes": yes, "--dry-run": dry_run})
    require_writable(receipt, "--receipt")
    consent, store = Consent(yes, dry_run), existing_run(run)
    if identity is not None:
        who = sys.stdin.readline().strip() if identity == "-" else identity
        return _erase(store, who, receipt, consent)
    if if_due and not is_due(store, datetime.now(UTC).date()):
        say(f"{store.location}: not due yet, nothing was deleted")
        say_next("the same command again on a later day")
        return ExitCode.OK
    there = planned_purge(store)
    total = f"{len(there)} files, {sum(there.values()):,} bytes"
    if consent.dry_run:
        say(*there, f"{store.location}: {total} would be deleted")
        say_next(DO_IT)
        return ExitCode.OK
    if not consent.given(f"Erase the run in {store.location}, {total}?"):
        return ExitCode.FAILED
    purged = purge(store, receipt)
    say(f"{store.location}: {purged.files} files, {purged.bytes:,} bytes deleted; receipt: {purged.receipt}")
    say_next("keep the receipt; copies of the run elsewhere, as in backups, are yours to delete")
    return ExitCode.OK


def _erase(store: RunStore, who: str, copy: Path | None, consent: Consent) -> ExitCode:
    # Torch and FAISS, which only judging anew needs.
    from distributed.stages.upkeep.erase import erase
    from distributed.stages.upkeep.erasure_plan import planned_erasure

    plan = planned_erasure(store, who)
    if consent.dry_run:
        say(
            *(f"{path}: deleted" for path in plan.deleted),
            *(f"{path}: made anew" for path in plan.rewritten),
            *_staying(store, plan.matching),
            f"{store.location}: {plan.person} would be erased, {plan.photos} photos",
        )
        say_next(DO_IT)
        return ExitCode.OK
    if not consent.given(f"Erase {plan.person}, {plan.photos} photos, from {store.location}?"):
        return ExitCode.FAILED
    with ray_executor() as executor:
        erased = erase(store, who, executor, lambda spec: watching(store, spec), copy)
    say(f"{store.location}: {erased.identity} is erased, {erased.photos} photos; receipt: {erased.receipt}")
    say(*_staying(store, erased.matching))
    if erased.problem is not None:
        kind = type(erased.problem)
        raise kind(f"the person is erased, and the others are not judged anew: {erased.problem}")
    say("all others are judged anew")
    say_next(f"idleak report {store.location} writes the report again")
    return ExitCode.OK


def _staying(store: RunStore, matching: Sequence[str]) -> Iterator[str]:
    """Whom the person erasing must decide about: the audit cannot know that two folders are one person."""
    for person in matching:
        yield (
            f"warning: the photos of {person} match theirs as those of one person do, and stay in the run; "
            f"if it is the same person: `idleak purge {store.location} --identity {person}`"
        )
