"""What a finished run says: `results.json`, read back, and the people most at risk by it."""

from __future__ import annotations

from typing import Any

import pyarrow.compute as pc

from distributed.storage.store import RunStore
from distributed.storage.versioned import read_versioned
from schemas.run.artefacts import RESULTS_FILE, SCORES_FILE
from schemas.run.results import AuditResults, ScoreResult
from schemas.run.tables import Role


def read_results(store: RunStore) -> AuditResults:
    """`results.json`. Raises WrongRunError if a later idleak wrote more than this one knows, DamagedError if
    it does not fit its model for another reason."""
    advice = "is damaged, or of another version of idleak: delete it, then run `idleak reduce` again"
    return read_versioned(store, RESULTS_FILE, AuditResults, advice)


def most_at_risk(store: RunStore, headline: ScoreResult, count: int = 10) -> list[dict[str, Any]]:
    """Rows of `scores.parquet`: candidates by the headline score, smallest p first, then largest score."""
    table = store.read_table(SCORES_FILE)
    wanted = pc.and_(
        pc.equal(table["recognizer"], headline.recognizer), pc.equal(table["score_name"], headline.score_name)
    )
    table = table.filter(pc.and_(wanted, pc.equal(table["role"], Role.CANDIDATE)))
    order = [("p_value", "ascending"), ("score", "descending"), ("identity", "ascending")]
    rows: list[dict[str, Any]] = table.sort_by(order).slice(0, count).to_pylist()
    return rows
