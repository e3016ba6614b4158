"""`idleak reveal RUN`: who the pseudonyms of a run are. It needs the key; the audit log keeps it."""

from __future__ import annotations

import click

from distributed.gallery.names import read_names
from jobs.cli.arguments import StrictCommand, run_argument
from jobs.cli.exit_codes import ExitCode
from jobs.cli.runs import open_to_read
from jobs.cli.say import say, say_next
from schemas.errors import UsageError


@click.command("reveal", cls=StrictCommand, help=__doc__)
@run_argument
@click.argument(
    "pseudonyms",
    nargs=-1,
    metavar="[PSEUDONYM]...",
    help="of people or photos, or how they begin; all if none",
)
def command(run: str, pseudonyms: tuple[str, ...]) -> ExitCode:
    store, _ = open_to_read(run, "reveal", reveal=True, pseudonyms=list(pseudonyms) or "all")
    assert store.vault is not None, "a run with a record has a key"
    names = read_names(store, store.vault)
    known = {**names.identities, **names.photos} if pseudonyms else dict(names.identities)
    revealed = {key: name for key, name in known.items() if not pseudonyms or key.startswith(pseudonyms)}
    if not revealed:
        raise UsageError(f"{store.location} names nobody by these pseudonyms")
    for key, name in sorted(revealed.items(), key=lambda item: (item[1], item[0])):
        say(f"{key}  {name}")
    shown = f"idleak report --reveal {store.location} and idleak explore --reveal {store.location}"
    say_next(f"keep these names where such data is kept; {shown} show people by name", beside_data=True)
    return ExitCode.OK
