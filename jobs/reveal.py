"""`idleak reveal RUN`: who the pseudonyms of a run are. It needs the key, and is kept in the run's trail."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from distributed.name_map import NameMap, read_names
from distributed.store import RunStore
from distributed.trail import record
from jobs.command import existing_run, guarded
from jobs.exit_codes import ExitCode
from jobs.say import say
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
    return guarded(lambda: _run(existing_run(chosen.run), chosen.pseudonyms))


def _run(store: RunStore, wanted: Sequence[str]) -> ExitCode:
    names = revealed(store, "reveal", pseudonyms=list(wanted) or "all")
    known = {**names.identities, **names.photos} if wanted else dict(names.identities)
    found = {
        key: name for key, name in known.items() if not wanted or any(key.startswith(one) for one in wanted)
    }
    if not found:
        raise SpecError(f"{store.location} names nobody by these pseudonyms")
    for key, name in sorted(found.items(), key=lambda one: (one[1], one[0])):
        say(f"{key}  {name}")
    return ExitCode.OK


def revealed(store: RunStore, action: str, **what: object) -> NameMap:
    """The names of a run, once it is in its trail that they are looked at. Raises SpecError without a key."""
    if store.vault is None:
        raise SpecError(f"{store.location} holds no run: give the `output` of a spec")
    names = read_names(store, store.vault)
    record(store, action, revealed=True, **what)
    return names
