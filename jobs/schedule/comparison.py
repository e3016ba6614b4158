"""Tonight's findings and scores against those of the accepted night."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from distributed.statistics.night_drift import Change, distribution_change, rate_change
from distributed.storage.results_file import read_results
from distributed.storage.store import RunStore
from jobs.schedule.state import NightState
from schemas.run.artefacts import SCORES_FILE
from schemas.run.nights import Accepted, Comparison, Finding, NightDrift, NightEvidence, Share
from schemas.run.tables import Role, Verdict


def headline_scores(store: RunStore) -> pa.Table:
    """The rows of `scores.parquet` that the headline rests on."""
    results = read_results(store)
    headline = results.scores[results.headline]
    table = store.read_table(SCORES_FILE, ["identity", "role", "recognizer", "score_name", *SCORE_COLUMNS])
    of_headline = pc.and_(
        pc.equal(table["recognizer"], headline.recognizer), pc.equal(table["score_name"], headline.score_name)
    )
    return table.filter(of_headline)


SCORE_COLUMNS = ("score", "p_value", "verdict")


def nameless(scores: pa.Table) -> pa.Table:
    """What later nights are compared with; nobody can be told from it."""
    return scores.select(["role", "score", "p_value"]).sort_by(
        [(name, "ascending") for name in ("role", "score", "p_value")]
    )


def compare(state: NightState, evidence: NightEvidence, accepted: Accepted | None) -> Comparison:
    """Raises StoreError or DamagedError if a night's scores cannot be read."""
    scores = headline_scores(state.run_of(evidence))
    comparison = compare_findings(evidence, accepted, scores)
    drift = [] if accepted is None else drift_since(state, evidence, accepted.evidence, scores)
    return comparison.model_copy(update={"drift": drift})


def compare_findings(evidence: NightEvidence, accepted: Accepted | None, scores: pa.Table) -> Comparison:
    """The people of both nights; drift is left out. scores: those of the evidence's headline."""
    candidates = scores.filter(pc.equal(scores["role"], Role.CANDIDATE))
    names, verdicts = candidates["identity"].to_pylist(), candidates["verdict"].to_pylist()
    known = {} if accepted is None else {finding.identity: finding for finding in accepted.findings}
    new_names = [name for name in evidence.findings if name not in known]
    new = [Finding(identity=name, night=evidence.night, samples=evidence.samples) for name in new_names]
    lost = _lost(evidence, known, dict(zip(names, verdicts, strict=True)))
    return Comparison(
        accepted=None if accepted is None else accepted.evidence.night,
        new=new,
        known=[known[name] for name in evidence.findings if name in known],
        drift=[],
        **lost,
    )


def _lost(
    evidence: NightEvidence, known: Mapping[str, Finding], verdicts: Mapping[str, str]
) -> dict[str, list[Finding]]:
    """Accepted findings that tonight does not repeat, by what that means."""
    lost: dict[str, list[Finding]] = {"resolved": [], "pending": [], "gone": []}
    for name, finding in known.items():
        if name in evidence.findings:
            continue
        enough = evidence.samples >= finding.samples and verdicts.get(name) == Verdict.NOT_DETECTED
        lost["gone" if name not in verdicts else "resolved" if enough else "pending"].append(finding)
    return lost


def baseline(evidence: NightEvidence, comparison: Comparison) -> list[Finding]:
    """The findings of the night if it is accepted; what is pending stays among them."""
    return [*comparison.known, *comparison.new, *comparison.pending]


def accept(state: NightState, evidence: NightEvidence, comparison: Comparison, by: str, on: date) -> Accepted:
    """Make this the night that later ones are compared with."""
    accepted = Accepted.model_validate(
        {"by": by, "on": on, "evidence": evidence, "findings": baseline(evidence, comparison)}
    )
    state.accept(accepted)
    state.tell(state.notified() - {finding.identity for finding in accepted.findings})
    return accepted


def drift_since(
    state: NightState, tonight: NightEvidence, accepted: NightEvidence, scores: pa.Table
) -> list[NightDrift]:
    """What of the samples and the scores is other than on the accepted night. See docs/nightly.md."""
    if (tonight.night, tonight.verdict_sha256) == (accepted.night, accepted.verdict_sha256):
        return []
    same = tonight.version == accepted.version
    changes = {
        "samples with a template": _share_change(accepted.with_template, tonight.with_template, same),
        "samples with a face": _share_change(accepted.with_face, tonight.with_face, same),
        **_score_changes(
            state.read_scores(accepted.night), scores, equal_samples=tonight.samples == accepted.samples
        ),
    }
    return [_night_drift(name, change) for name, change in changes.items() if change is not None]


def _share_change(accepted: Share | None, tonight: Share | None, same_version: bool) -> Change | None:
    """Of one version tonight's samples hold those of the accepted night, so the others are compared."""
    if accepted is None or tonight is None:
        return None
    count, total = tonight.count, tonight.total
    if same_version:
        count, total = count - accepted.count, total - accepted.total
    return rate_change(accepted.count, accepted.total, count, max(0, total))


def _score_changes(accepted: pa.Table, tonight: pa.Table, *, equal_samples: bool) -> dict[str, Change | None]:
    """Scores grow with the number of samples, p-values do not."""
    changes = {"p-values of candidates": _column_change(accepted, tonight, Role.CANDIDATE, "p_value")}
    if equal_samples:
        changes["scores of candidates"] = _column_change(accepted, tonight, Role.CANDIDATE, "score")
        changes["scores of the cohort"] = _column_change(accepted, tonight, Role.COHORT, "score")
    return changes


def _column_change(accepted: pa.Table, tonight: pa.Table, role: Role, column: str) -> Change | None:
    sides = [
        scores.filter(pc.equal(scores["role"], role))[column].to_numpy() for scores in (accepted, tonight)
    ]
    before, after = (np.asarray(side, dtype=np.float64) for side in sides)
    return distribution_change(before, after)


def _night_drift(name: str, change: Change) -> NightDrift:
    return NightDrift(
        property=name,
        accepted=change.before,
        tonight=change.after,
        p_value=change.p_value,
        warns=change.warns,
    )
