from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from jobs.schedule.comparison import accept, compare_findings, drift_since
from jobs.schedule.state import NightState
from schemas.errors import DamagedError
from schemas.run.nights import Accepted, Comparison, Finding, NightEvidence, NightRecord

FIRST, SECOND = date(2026, 11, 1), date(2026, 11, 2)
EMPTY: dict[str, Any] = {
    "accepted": None,
    "new": [],
    "known": [],
    "resolved": [],
    "pending": [],
    "gone": [],
    "drift": [],
}


def evidence(night: date, findings: Sequence[str] = (), **changes: Any) -> NightEvidence:
    values = {
        "night": night,
        "run": "runs/one",
        "version": "one",
        "samples": 1000,
        "fresh": 0,
        "fingerprint": {},
        "verdict_fingerprint": {},
        "verdict_sha256": night.isoformat(),
        "with_template": {"count": 900, "total": 1000},
        "with_face": None,
        "verdicts": {},
        "ledger": "ledgers/one",
        "ledger_night": 1,
        "flaggable_from": 1,
        "findings": list(findings),
    }
    return NightEvidence.model_validate(values | changes)


def accepted(names: Sequence[str], samples: int = 1000) -> Accepted:
    findings = [Finding(identity=name, night=FIRST, samples=samples) for name in names]
    return Accepted(by="a person", on=FIRST, evidence=evidence(FIRST, names), findings=findings)


def verdicts(of: Mapping[str, str]) -> pa.Table:
    n = len(of)
    columns = {"identity": list(of), "role": ["candidate"] * n, "verdict": list(of.values())}
    return pa.table(columns | {"score": np.zeros(n), "p_value": np.ones(n)})


def names(comparison: Comparison) -> dict[str, list[str]]:
    kinds = ("new", "known", "resolved", "pending", "gone")
    return {kind: [finding.identity for finding in getattr(comparison, kind)] for kind in kinds}


def test_everybody_is_in_the_place_that_the_evidence_allows() -> None:
    tonight = evidence(SECOND, ["ada", "bob"])
    of = {
        "ada": "leaked",
        "bob": "leaked",
        "cai": "not detected",
        "dan": "inconclusive",
        "eve": "leaked",
        "flo": "not detected",
    }
    comparison = compare_findings(tonight, accepted(["bob", "cai", "dan", "eve", "gil"]), verdicts(of))
    assert names(comparison) == {
        "new": ["ada"],
        "known": ["bob"],
        "resolved": ["cai"],
        # Flagged tonight alone, but not by all nights: nobody can say that it is over.
        "pending": ["dan", "eve"],
        "gone": ["gil"],
    }


def test_fewer_samples_than_the_finding_rests_on_resolve_nothing() -> None:
    of = {"ada": "not detected"}
    for samples, kind in ((999, "pending"), (1000, "resolved")):
        tonight = evidence(SECOND, samples=samples)
        assert names(compare_findings(tonight, accepted(["ada"]), verdicts(of)))[kind] == ["ada"]


def test_what_is_pending_stays_in_the_accepted_night_and_what_is_resolved_does_not(tmp_path: Path) -> None:
    state = NightState(str(tmp_path))
    state.tell({"ada", "bob", "zoe"})
    of = {"ada": "leaked", "bob": "leaked", "cai": "not detected", "dan": "inconclusive"}
    tonight = evidence(SECOND, ["ada", "bob"])
    comparison = compare_findings(tonight, accepted(["bob", "cai", "dan"]), verdicts(of))
    accept(state, tonight, comparison, "nothing new", SECOND)
    kept = state.accepted()
    assert kept is not None and {finding.identity for finding in kept.findings} == {"ada", "bob", "dan"}
    # The night of the first finding is kept.
    assert {finding.identity: finding.night for finding in kept.findings}["bob"] == FIRST
    assert state.notified() == {"zoe"}


def scores(values: NDArray[np.float64]) -> pa.Table:
    return pa.table({"role": ["cohort"] * len(values), "score": values, "p_value": values})


def test_drift_of_scores_is_told_where_samples_are_as_many(tmp_path: Path) -> None:
    state, random = NightState(str(tmp_path)), np.random.default_rng(3)
    before, after = random.random(200), random.random(200) + 0.3
    state.write_scores(FIRST, scores(before))
    drifts = drift_since(state, evidence(SECOND, version="two"), evidence(FIRST), scores(after))
    (drift,) = [drift for drift in drifts if drift.property == "scores of the cohort"]
    assert drift.p_value == pytest.approx(ks_2samp(before, after).pvalue) and drift.warns
    grown = drift_since(state, evidence(SECOND, version="two", samples=2000), evidence(FIRST), scores(after))
    assert "scores of the cohort" not in {drift.property for drift in grown}


@pytest.mark.parametrize(("version", "tonight"), [("one", 0.8), ("two", 0.85)])
def test_of_one_version_only_the_fresh_samples_are_compared(
    tmp_path: Path, version: str, tonight: float
) -> None:
    state = NightState(str(tmp_path))
    state.write_scores(FIRST, scores(np.arange(3.0)))
    grown = evidence(SECOND, version=version, samples=2000, with_template={"count": 1700, "total": 2000})
    (drift,) = drift_since(state, grown, evidence(FIRST), scores(np.arange(3.0)))
    assert (drift.property, drift.accepted, drift.tonight) == ("samples with a template", 0.9, tonight)
    assert drift.warns


def test_damaged_nights_are_refused(tmp_path: Path) -> None:
    state = NightState(str(tmp_path))
    (tmp_path / "nights").mkdir()
    (tmp_path / "nights" / f"{FIRST}.json").write_text("{")
    with pytest.raises(DamagedError, match="restore it"):
        state.latest()
    (tmp_path / "nights" / "notes.json").write_text("{}")
    with pytest.raises(DamagedError, match="not named by a date"):
        state.latest()


def test_nights_are_kept_in_a_bucket_as_in_a_folder(bucket: str) -> None:
    state = NightState(f"{bucket}/gan")
    assert state.latest() is None and state.accepted() is None and state.notified() == set()
    for night in (FIRST, SECOND):
        state.write(NightRecord(key="gan", night=night, outcome="skipped", started="", seconds=0, missed=[]))
    latest = state.latest()
    assert latest is not None and latest.night == SECOND
    accept(state, evidence(FIRST), Comparison(**EMPTY), "a person", SECOND)
    kept = state.accepted()
    assert kept is not None and kept.evidence == evidence(FIRST)
