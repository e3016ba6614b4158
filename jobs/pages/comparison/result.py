"""A comparison of two runs as `comparison.json`, for programs."""

from __future__ import annotations

from distributed.storage.results_file import Row
from jobs.pages.comparison.run_comparison import RunComparison
from jobs.pages.finished_run import FinishedRun
from schemas.run.comparison import ComparedPerson, ComparedRun, ComparisonResult, PersonInRun

OF_SCORES = ("verdict", "score", "p_value", "q_value")
OF_RATES = ("per_million", "per_million_low", "per_million_high")


def comparison_result(comparison: RunComparison) -> ComparisonResult:
    """Everybody, by pseudonym, with the numbers of both runs."""
    return ComparisonResult(
        first=_run(comparison.first),
        second=_run(comparison.second),
        recognizer=comparison.first.headline.recognizer,
        score_name=comparison.first.headline.score_name,
        warnings=comparison.warnings,
        people=[
            ComparedPerson(
                identity=pair.identity,
                first=_side(pair.first, pair.hits_first),
                second=_side(pair.second, pair.hits_second),
                more_often=pair.more_often,
            )
            for pair in comparison.pairs
        ],
        unlearned=comparison.unlearned,
    )


def _run(run: FinishedRun) -> ComparedRun:
    results = run.results
    return ComparedRun(
        name=results.name,
        created=results.created,
        location=run.store.location,
        samples=results.samples.rows,
        fingerprint=results.fingerprint,
    )


def _side(scores: Row, rates: Row) -> PersonInRun:
    return PersonInRun.model_validate(
        {name: scores[name] for name in OF_SCORES} | {name: rates[name] for name in OF_RATES}
    )
