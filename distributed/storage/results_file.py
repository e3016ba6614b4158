"""What a finished run says: `results.json`, read back, and whom of its people there is reason to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from distributed.storage.store import RunStore
from distributed.storage.versioned import read_versioned
from schemas.run.artefacts import RESULTS_FILE
from schemas.run.results import AuditResults, ScoreResult
from schemas.run.tables import Role, Verdict

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Reasons:
    """Rows of `scores.parquet` of the candidates whom there is reason to show, by the reason; of nobody else.

    flagged: as leaked. above: who scores above the whole cohort, which is too small to flag them. small: who
    else has a p-value of at most the FDR; alone, nobody with a larger one could be flagged.
    """

    flagged: Sequence[Row]
    above: Sequence[Row]
    small: Sequence[Row]

    @property
    def rows(self) -> list[Row]:
        return [*self.flagged, *self.above, *self.small]


def read_results(store: RunStore) -> AuditResults:
    """`results.json`. Raises WrongRunError if a later idleak wrote more than this one knows, DamagedError if
    it does not fit its model for another reason."""
    advice = "is damaged, or of another version of idleak: delete it, then run `idleak reduce` again"
    return read_versioned(store, RESULTS_FILE, AuditResults, advice)


def people_of(scores: pa.Table, score: ScoreResult, role: Role = Role.CANDIDATE) -> pa.Table:
    """Rows of `scores.parquet` of one recogniser × score and one side, most at risk first."""
    wanted = pc.and_(
        pc.equal(scores["recognizer"], score.recognizer), pc.equal(scores["score_name"], score.score_name)
    )
    order = [("p_value", "ascending"), ("score", "descending"), ("identity", "ascending")]
    return scores.filter(pc.and_(wanted, pc.equal(scores["role"], role))).sort_by(order)


def reasons_to_show(rows: Sequence[Row], results: AuditResults) -> Reasons:
    """rows: candidates by the headline score, as `people_of` gives them, or some of them."""
    above, limit = set(results.scores[results.headline].at_floor), results.power.fdr
    flagged = [row for row in rows if row["verdict"] == Verdict.LEAKED]
    others = [row for row in rows if row["verdict"] != Verdict.LEAKED]
    return Reasons(
        flagged,
        [row for row in others if row["identity"] in above],
        [row for row in others if row["identity"] not in above and row["p_value"] <= limit],
    )
