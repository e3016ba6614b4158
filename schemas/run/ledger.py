"""`ledger.json`: the false-discovery budget of repeated audits."""

from __future__ import annotations

from pydantic import Field

from schemas.frozen import Record

LEDGER_FILE = "ledger.json"


class LedgerNight(Record):
    """One audit: its verdict fingerprint and its e-values per candidate, those of 0 left out.

    `shares`: e-value divided by the number of candidates of that night.
    """

    fingerprint: str
    shares: dict[str, float]


class Ledger(Record):
    """All nights so far, under one rate and for one way of scoring.

    settings: what else of a spec decides a verdict, by name; empty in a ledger of version 0.1, until its next
    night.
    """

    alpha: float
    score: str
    settings: dict[str, str] = Field(default_factory=dict)
    nights: tuple[LedgerNight, ...] = ()
