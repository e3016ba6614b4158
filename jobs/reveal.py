"""`idleak reveal RUN`: who the pseudonyms of a run are. It needs the key, and is kept in the run's trail."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from distributed.gallery.names import read_names
from jobs.cli.command import guarded
from jobs.cli.exit_codes import ExitCode
from jobs.cli.reading import open_to_read
from jobs.cli.say import say
from schemas.errors import SpecError


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="idleak reveal", description=__doc__)
    parser.add_argument("run", metavar="RUN", help="the run's folder or bucket address: the spec's `output`")
    parser.add_argument(
        "pseudonyms",
        nargs="*",
        metavar="PSEUDONYM",
        help="of people or photos, or how they begin; all if none",
    )
    chosen = parser.parse_args(argv)
    return guarded(lambda: _run(chosen.run, chosen.pseudonyms))


def _run(location: str, wanted: Sequence[str]) -> ExitCode:
    store, _ = open_to_read(location, "reveal", reveal=True, pseudonyms=list(wanted) or "all")
    assert store.vault is not None, "a run with a record has a key"
    names = read_names(store, store.vault)
    known = {**names.identities, **names.photos} if wanted else dict(names.identities)
    found = {
        key: name for key, name in known.items() if not wanted or any(key.startswith(one) for one in wanted)
    }
    if not found:
        raise SpecError(f"{store.location} names nobody by these pseudonyms")
    for key, name in sorted(found.items(), key=lambda one: (one[1], one[0])):
        say(f"{key}  {name}")
    return ExitCode.OK
