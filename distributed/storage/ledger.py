"""The ledger of repeated audits: a false-discovery budget for one gallery, night after night.

`ledger.json` in its folder. The arithmetic and its promise are in distributed/statistics/spending.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from distributed.statistics.similarity import Floats
from distributed.statistics.spending import e_benjamini_hochberg, night_e_values, night_weight
from distributed.storage.store import RunStore
from schemas.errors import WrongRunError
from schemas.fingerprint import Fingerprint
from schemas.run.ledger import LEDGER_FILE, Ledger, LedgerNight


def flagged_by(ledger: Ledger, names: Sequence[str]) -> list[str]:
    """Whom of these all nights together flag."""
    sums = np.zeros(len(names))
    for number, night in enumerate(ledger.nights, start=1):
        sums += night_weight(number) * np.array([night.shares.get(name, 0.0) for name in names])
    flags = e_benjamini_hochberg(len(names) * sums, ledger.alpha)
    return [name for name, flag in zip(names, flags, strict=True) if flag]


@dataclass(frozen=True)
class Pinned:
    """What all nights of a ledger share: the rate, the headline score, and what else decides a verdict."""

    alpha: float
    score: str
    settings: Mapping[str, str]

    def ledger(self, store: RunStore) -> Ledger:
        """The ledger that is there, or an empty one.

        Raises WrongRunError if it was begun with other settings: a rate that is promised for one way of
        judging does not hold for the best of several. DamagedError if it cannot be read.
        """
        ledger = read_ledger(store)
        if ledger is None or not (ledger.settings or ledger.nights):
            return Ledger(alpha=self.alpha, score=self.score, settings=dict(self.settings))
        if (ledger.alpha, ledger.score) != (self.alpha, self.score):
            raise WrongRunError(
                f"{store.location} is a ledger of {ledger.score} at FDR {ledger.alpha:g}, this audit's "
                f"headline is {self.score} at {self.alpha:g}: a budget holds for one of these, so give the "
                "spec another `ledger`"
            )
        known = ledger.settings or self.settings
        if known != self.settings:
            differences = Fingerprint(self.settings).differences(Fingerprint(known))
            raise WrongRunError(
                f"{store.location} is a ledger of other settings: {'; '.join(differences)}. A budget holds "
                "for one way of judging: restore what differs, or give the spec another `ledger`, which "
                "begins anew"
            )
        return ledger.model_copy(update={"settings": dict(self.settings)})


def enter_night(
    store: RunStore, fingerprint: str, names: Sequence[str], p: Floats, pinned: Pinned
) -> tuple[int, Ledger]:
    """Enter an audit's p-values (m,) as the next night; its number and the ledger with it.

    The same fingerprint is entered once. Raises as `Pinned.ledger`.
    """
    ledger, alpha = pinned.ledger(store), pinned.alpha
    key = hashlib.sha256(fingerprint.encode()).hexdigest()
    for number, night in enumerate(ledger.nights, start=1):
        if night.fingerprint == key:
            return number, ledger
    number = len(ledger.nights) + 1
    values = night_e_values(p, alpha, number)
    shares = {name: float(e) / len(p) for name, e in zip(names, values, strict=True) if e > 0}
    ledger = ledger.model_copy(
        update={"nights": (*ledger.nights, LedgerNight(fingerprint=key, shares=shares))}
    )
    store.write(LEDGER_FILE, (ledger.model_dump_json(indent=1) + "\n").encode())
    return number, ledger


def erase_from_ledger(store: RunStore, name: str) -> bool:
    """Take a person out of all nights; False if no night holds anything of them."""
    ledger = read_ledger(store)
    if ledger is None or not any(name in night.shares for night in ledger.nights):
        return False
    nights = tuple(
        night.model_copy(
            update={"shares": {key: share for key, share in night.shares.items() if key != name}}
        )
        for night in ledger.nights
    )
    store.write(
        LEDGER_FILE, (ledger.model_copy(update={"nights": nights}).model_dump_json(indent=1) + "\n").encode()
    )
    return True


def read_ledger(store: RunStore) -> Ledger | None:
    """The ledger, or None if there is none yet."""
    if LEDGER_FILE not in store.sizes():
        return None
    return store.read_model(Ledger, LEDGER_FILE, "is damaged: restore it from a copy")
