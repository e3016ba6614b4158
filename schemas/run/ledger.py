"""`ledger.json`: the false-discovery budget of repeated audits."""

from __future__ import annotations

from schemas.frozen import Record

LEDGER_FILE = "ledger.json"


class LedgerNight(Record):
    """One audit: its verdict fingerprint and its e-values per candidate, those of 0 left out.

    `shares`: e-value divided by the number of candidates of that night.
    """

    fingerprint: str
    shares: dict[str, float]


class Ledger(Record):
    """All nights so far, under one rate and for one way of scoring."""

    alpha: float
    score: str
    nights: tuple[LedgerNight, ...] = ()
