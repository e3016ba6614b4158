"""`idleak verify RUN`: check every file of a run; name what is missing or damaged."""

from __future__ import annotations

import click

from distributed.stages.upkeep.verify import Verification, advice, verify
from jobs.cli.arguments import StrictCommand, run_argument
from jobs.cli.exit_codes import ExitCode
from jobs.cli.runs import existing_run
from jobs.cli.say import say, say_next
from schemas.run.artefacts import GALLERY_FILE


@click.command("verify", cls=StrictCommand, help=__doc__)
@run_argument
def command(run: str) -> ExitCode:
    verification = verify(existing_run(run))
    say(*map(str, verification.problems), *_summary(run, verification))
    say_next(_next(run, verification))
    return ExitCode.DAMAGED if verification.problems else ExitCode.OK


def _summary(location: str, verification: Verification) -> list[str]:
    problems, stone, head = verification.problems, verification.tombstone, verification.head
    if stone is not None:
        return [f"{location}: purged on {stone.purged} by {stone.who}; the trail's head is {head}"]
    if problems:
        return [f"{len(problems)} problems in {location}"]
    return [
        f"{location}: {verification.shards} shards and {GALLERY_FILE} are complete and match their checksums",
        f"the audit log of {verification.entries} entries is intact; its head is {head}",
    ]


def _next(location: str, verification: Verification) -> str:
    if verification.problems and verification.tombstone is None:
        return advice(verification.problems, location)
    return "note the head elsewhere, as only against it a trail shows that its last entries were cut off"
