"""All it takes to make a run again."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from jobs.cli.gallery import separation_figures
from jobs.pages.finished_run import FinishedRun
from jobs.pages.page import Section, Table
from schemas.printable import printable
from schemas.run.results import AuditResults, RecognizerResult


def provenance_section(run: FinishedRun) -> Section:
    results = run.results
    seconds = {name: f"{spent:,.1f}" for name, spent in results.seconds.items()}
    return Section(
        "How to make it again",
        [
            "Where the generator can be seeded, the same spec, models, versions and threads give the same "
            "tables on the same kind of CPU. The spec is below, with absolute paths."
        ],
        tables=[
            _fields(("", "as the spec says"), permission(results), "On whose word, and on what terms."),
            _fields(("what", "sha256"), _digests(results), "Digests."),
            _fields(("field", "value"), results.fingerprint, "What the samples follow from."),
            Table(
                ("recogniser", "template", "similarity of two photos", "false match rate", "comparisons"),
                list(map(_recognizer_row, results.recognizers)),
                "Photos of different people of the cohort reach this similarity at this false match rate.",
            ),
            Table(
                ("recogniser", "measured"),
                [[recognizer.name, separation_figures(recognizer)] for recognizer in results.recognizers],
                "How well each recogniser tells the gallery's own people apart.",
            ),
            _fields(("package", "version"), results.versions, "Versions."),
            _fields(
                ("", "value"),
                dict(results.machine) | {"finished": results.created, "seed": str(results.spec["seed"])},
                "Where and when.",
            ),
            _fields(
                ("stage", "seconds"), seconds, "Time of the last invocation; of shards, summed over workers."
            ),
        ],
        preformatted=yaml.safe_dump(results.spec, sort_keys=False, allow_unicode=False),
        folded="Authorisation, digests, versions, times and the whole spec",
    )


def permission(results: AuditResults) -> dict[str, str]:
    """The authorisation, what overrode it, and the licences of all models."""
    given = results.authorisation or {"authorisation": "none was given"}
    facts = {name.replace("_", " "): value for name, value in given.items()}
    facts |= {f"override {number}": override for number, override in enumerate(results.overrides, start=1)}
    return facts | {f"licence of the {name}": terms for name, terms in results.licenses.items()}


def _digests(results: AuditResults) -> dict[str, str]:
    return {
        "samples": results.fingerprint_sha256,
        "gallery": results.gallery_fingerprint_sha256,
        "verdicts": results.verdict_fingerprint_sha256,
    } | {f"recogniser {recognizer.name}": recognizer.sha256 for recognizer in results.recognizers}


def _fields(columns: tuple[str, str], fields: Mapping[str, str], caption: str) -> Table:
    return Table(columns, [[printable(name), printable(value)] for name, value in fields.items()], caption)


def _recognizer_row(recognizer: RecognizerResult) -> list[str]:
    point = recognizer.operating_point
    return [
        recognizer.name,
        f"{recognizer.dimension:,}",
        f"{point.threshold:.4f}",
        f"{point.fmr:.2g}",
        f"{point.comparisons:,}",
    ]
