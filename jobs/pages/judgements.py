"""`judgements/*.json` of a run, read and written: one file a reviewer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import TypeAdapter

from distributed.storage.store import RunStore
from distributed.storage.trail import digests, record
from schemas.judgements import Decision, JudgedPair, Judgement, Judgements
from schemas.run.artefacts import JUDGEMENTS_PREFIX

JUDGEMENTS = TypeAdapter(Judgements)


def read_judgements(store: RunStore) -> Sequence[Judgements]:
    """Of all reviewers, by their names. Raises DamagedError if a file cannot be read."""
    everybody = [store.read_as(JUDGEMENTS, path) for path in store.sizes(JUDGEMENTS_PREFIX)]
    return sorted(everybody, key=lambda each: each.reviewer)


def judgements_of(store: RunStore, reviewer: str) -> Judgements:
    """Of one reviewer, who may have judged nothing yet. Raises DamagedError."""
    path = _path(reviewer)
    return (
        store.read_as(JUDGEMENTS, path)
        if store.exists(path)
        else Judgements(reviewer=reviewer, judgements=[])
    )


def keep_judgement(store: RunStore, reviewer: str, pair: JudgedPair, decision: Decision) -> None:
    """Write a decision in place of an earlier one of the same reviewer; the audit log keeps both.

    Not for several processes of one reviewer at once. Raises as `record`.
    """
    before = judgements_of(store, reviewer)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    kept = [each for each in before.judgements if each.pair.number != pair.number]
    kept.append(Judgement(pair=pair, decision=decision, when=when))
    kept.sort(key=lambda each: each.pair.number)
    path = _path(reviewer)
    store.write(path, Judgements(reviewer=reviewer, judgements=kept).model_dump_json().encode())
    record(
        store, "reviewed", reviewer=reviewer, pair=pair.number, decision=decision, wrote=digests(store, path)
    )


def _path(reviewer: str) -> str:
    return f"{JUDGEMENTS_PREFIX}/{hashlib.sha256(reviewer.encode()).hexdigest()[:16]}.json"
