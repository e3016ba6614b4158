"""Say what an audit found: the verdicts, and the identities most at risk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow.compute as pc
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from distributed.store import RunStore
from schemas.errors import DamagedError
from schemas.layout import RESULTS_FILE, SCORES_FILE
from schemas.results import AuditResults, ScoreResult
from schemas.tables import Role, Verdict

MOST_AT_RISK = 10


def read_results(store: RunStore) -> AuditResults:
    """`results.json`. Raises DamagedError if it does not fit its model."""
    try:
        return AuditResults.model_validate_json(store.read(RESULTS_FILE))
    except ValidationError as error:
        raise DamagedError(
            f"{store.location}/{RESULTS_FILE} is damaged: delete it, then run `idleak reduce` again"
        ) from error


def most_at_risk(store: RunStore, headline: ScoreResult, count: int = MOST_AT_RISK) -> list[dict[str, Any]]:
    """Rows of `scores.parquet`: candidates by the headline score, smallest p first, then largest score."""
    table = store.read_table(SCORES_FILE)
    wanted = pc.and_(
        pc.equal(table["recognizer"], headline.recognizer), pc.equal(table["score_name"], headline.score_name)
    )
    table = table.filter(pc.and_(wanted, pc.equal(table["role"], Role.CANDIDATE)))
    order = [("p_value", "ascending"), ("score", "descending"), ("identity", "ascending")]
    rows: list[dict[str, Any]] = table.sort_by(order).slice(0, count).to_pylist()
    return rows


def print_findings(store: RunStore) -> None:
    """Print the identities most at risk, the verdicts, the evaluation if any, and where the files are."""
    results = read_results(store)
    headline = results.scores[results.headline]
    console = Console()
    console.print(_risk_table(most_at_risk(store, headline), headline))
    for line in summary_lines(results, headline):
        print(line)
    print(f"files: {', '.join(path for path in store.sizes() if '/' not in path)} in {store.location}")


def _risk_table(rows: Sequence[Mapping[str, Any]], headline: ScoreResult) -> Table:
    table = Table("identity", "verdict", "p", "q", headline.score_name, "hits", "photos")
    table.title = f"most at risk, by {headline.score_name} of {headline.recognizer}"
    for row in rows:
        style = "bold red" if row["verdict"] == Verdict.LEAKED else ""
        table.add_row(
            escape(row["identity"]),
            row["verdict"],
            f"{row['p_value']:.4f}",
            f"{row['q_value']:.4f}",
            f"{row['score']:.4f}",
            f"{row['hits']:,}",
            str(row["photos"]),
            style=style,
        )
    return table


def summary_lines(results: AuditResults, headline: ScoreResult) -> list[str]:
    """Verdicts, power, detection rate and evaluation, a line each."""
    counts = ", ".join(f"{count} {verdict}" for verdict, count in headline.verdicts.items())
    power = results.power
    lines = [
        f"verdicts at FDR {power.fdr:g}: {counts}, of {power.candidates} candidates",
        f"cohort of {power.cohort}: smallest p-value {power.smallest_p_value:.2g}",
    ]
    if headline.inconclusive_reason:
        lines.append(f"inconclusive: {headline.inconclusive_reason}")
    if results.samples.detection_rate is not None:
        lines.append(
            f"faces found in {results.samples.detection_rate:.1%} of {results.samples.rows:,} samples"
        )
    for role, people in (("candidates", results.candidates), ("cohort", results.cohort)):
        if people.refused:
            lines.append(f"refused photos of the {role}: {people.refused}, of {people.photos}")
    return lines + [_evaluation_line(one) for one in results.scores if one.evaluation is not None]


def _evaluation_line(score: ScoreResult) -> str:
    assert score.evaluation is not None
    auc = score.evaluation.roc_auc
    return (
        f"against the labels, {score.score_name} of {score.recognizer}: ROC AUC {auc.value:.3f} "
        f"({auc.low:.3f} to {auc.high:.3f}), {len(score.flagged)} flagged"
    )
