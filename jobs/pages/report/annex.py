"""The evidence annex: what was asked, on whose authority, how, with which error rates, what for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from jobs.cli.statements import EXCHANGEABLE, ceiling_of, silence_of
from jobs.pages.finished_run import FinishedRun
from jobs.pages.page import Section, Table
from jobs.pages.report.provenance import permission
from jobs.pages.report.sections import CORRECTIONS
from schemas.printable import printable
from schemas.run.results import AuditResults
from schemas.run.tables import Verdict
from schemas.wording import PERCENT, people, plain, probability, share

HELP = (
    "This annex is help for those who must answer for a generator or for this audit, and no legal advice. A "
    "figure bears on a question; it does not answer it. No figure here shows that a model is anonymous, or "
    "that a law is kept. No candidate and nobody of the cohort is named here, not even by "
    "pseudonym."
)
QUESTIONS = (
    (
        "EDPB Opinion 28/2024",
        "Is the likelihood insignificant that personal data of people in the training data are extracted "
        "from the model, or obtained from queries? It is judged case by case.",
        "Verdicts, Sensitivity, Upper limit, Near-copies",
    ),
    (
        "GDPR Art. 35(7)(c)",
        "What are the risks to the rights and freedoms of data subjects, for an impact assessment of the "
        "generator? (The audit itself processes biometric data, and may need an assessment of its own.)",
        "Verdicts, False flags, Over-representation, Near-copies, Upper limit",
    ),
    (
        "CNIL, PANAME",
        "By its recommendations on a model's status under the GDPR, and its project on privacy audits: was "
        "the model tested for what it gives away of its training data, by attacks that are described, "
        "and is the result documented?",
        "Question, Method, Verdicts, Sensitivity, Exchangeability",
    ),
    (
        "OWASP AISVS",
        "On membership inference and privacy (chapter 12 of some drafts; numbers differ): do simulated "
        "membership-inference attacks on the model do better than chance?",
        "All together, Verdicts, By labels",
    ),
    (
        "ISO/IEC 27701",
        "In privacy information management: what does an assessment of privacy risks rest on, and who "
        "answers for it?",
        "Authority, False flags, Sensitivity",
    ),
)


def annex_section(run: FinishedRun) -> Section:
    """The annex as a part of the report."""
    return Section(
        "Evidence annex",
        [HELP],
        tables=[
            Table(
                ("", "this audit"), list(_asked(run)), "What was asked, on whose authority, by which method."
            ),
            Table(("figure", "what it says"), list(_figures(run)), "Figures and their error rates."),
            Table(
                ("text", "question, and the figures that bear on it"),
                _questions(),
                "What the figures bear on.",
            ),
        ],
        preformatted=model_card(run),
    )


def _questions() -> list[tuple[str, str]]:
    return [
        (source, f"{question} On this question bear: {figures}.") for source, question, figures in QUESTIONS
    ]


def annex_markdown(run: FinishedRun) -> str:
    """The annex as a Markdown file, with the block of a model card at its end."""
    section = annex_section(run)
    name, created = printable(run.results.name), run.results.created[:10]
    parts = [f"# Evidence annex: identity leakage audit {_cell(name)}, {created}", *section.text]
    parts += [f"## {table.caption.rstrip('.')}\n\n{_markdown_table(table)}" for table in section.tables]
    parts.append(
        "## For a model card\n\nTo be put into the metadata at the head of a model's README.md on the "
        f"Hugging Face Hub:\n\n```yaml\n{section.preformatted}```"
    )
    return plain("\n\n".join(parts) + "\n")


def model_card(run: FinishedRun) -> str:
    """A `model-index` as YAML: the audit's counts, and nobody's name."""
    results = run.results
    metrics = [
        {"type": f"idleak_{name}", "name": text, "value": value}
        for name, text, value in _measures(run)
        if value is not None
    ]
    entry = {
        "task": {"type": "unconditional-image-generation", "name": "identity leakage audit"},
        "dataset": {
            "type": "idleak-gallery",
            "name": f"{results.power.candidates} candidates against a cohort of {results.power.cohort}",
        },
        "metrics": metrics,
    }
    index = {"model-index": [{"name": printable(results.name), "results": [entry]}]}
    return str(yaml.safe_dump(index, sort_keys=False, allow_unicode=False))


def _measures(run: FinishedRun) -> Iterator[tuple[str, str, Any]]:
    results, headline = run.results, run.headline
    yield "people_leaked", "people flagged as leaked", headline.verdicts[Verdict.LEAKED]
    yield "people_not_detected", "people not detected", headline.verdicts[Verdict.NOT_DETECTED]
    yield "people_inconclusive", "people without a verdict", headline.verdicts[Verdict.INCONCLUSIVE]
    yield "false_discovery_rate", "false-discovery rate of the flags, at most", results.power.fdr
    yield "samples", "samples drawn", results.samples.rows
    yield "set_p_value", "p-value of all candidates together", headline.set_p_value
    yield "detectable_share", "share of samples from which a person is detected", headline.detectable_share
    ceiling = results.ceiling.share if results.ceiling else None
    yield "unflagged_share_at_most", "share of samples that nobody unflagged exceeds", ceiling


def _asked(run: FinishedRun) -> Iterator[tuple[str, str]]:
    results, headline = run.results, run.headline
    yield (
        "Question",
        f"Does the generator of {printable(results.name)} leak any of {people(results.power.candidates)}? "
        "A person leaks whose identity its samples resemble by more than chance explains.",
    )
    authority = ", ".join(f"{name}: {value}" for name, value in permission(results).items())
    yield "Authority", printable(authority)
    yield (
        "Method",
        f"{results.samples.rows:,} samples, compared with a template of each person by the recogniser "
        f"{printable(headline.recognizer)}; score {headline.score_name}; p-values against a cohort of "
        f"{people(results.power.cohort)} outside the training data by the auditor's word; "
        f"{CORRECTIONS[headline.correction]}'s correction. docs/method.md has the formulas.",
    )
    yield "To make it again", f"verdicts {results.verdict_fingerprint_sha256}; the rest is under provenance."


def _figures(run: FinishedRun) -> Iterator[tuple[str, str]]:
    results, headline = run.results, run.headline
    counts = ", ".join(f"{headline.verdicts[verdict]:,} {verdict}" for verdict in Verdict)
    yield "Verdicts", f"{counts}, of {people(results.power.candidates)}."
    yield "False flags", _false_flags(run)
    if (silence := silence_of(headline)) is not None:
        yield "Sensitivity", f"{silence.label}: {silence.whole}."
    else:
        yield "Sensitivity", "Nobody is said to be not detected, so nothing is said of smaller leaks."
    if results.ceiling is not None:
        ceiling = ceiling_of(results.ceiling)
        yield "Upper limit", f"{ceiling.label}: {ceiling.whole}."
    yield "All together", f"That no candidate leaked: p {probability(headline.set_p_value)}, by permutations."
    persons = {person.identity for person in results.over_represented}
    yield "Over-representation", f"{people(len(persons))} over-represented among the leaked."
    yield "Near-copies", _near_copies(results)
    yield "Exchangeability", _exchangeability(results)
    if headline.evaluation is not None:
        value = headline.evaluation.roc_auc
        yield "By labels", f"ROC AUC {value.value:.3f} (95{PERCENT}: {value.low:.3f} to {value.high:.3f})."


def _false_flags(run: FinishedRun) -> str:
    text = f"On average at most {share(run.results.power.fdr)} of flags are false, {EXCHANGEABLE}"
    bound = run.headline.flagged_fdp_bound
    if bound is None:
        return f"{text}."
    return f"{text}; in this audit, with 95{PERCENT} confidence, at most {share(bound)} of them."


def _near_copies(results: AuditResults) -> str:
    copies = [evidence for evidence in results.evidence if evidence.kind == "near-copy"]
    recurring = sum((evidence.recurs or 0) > 1 for evidence in copies)
    flagged = len(results.scores[results.headline].flagged)
    text = f"{len(copies):,} of {flagged:,} flags rest on a near-copy of one photo"
    return f"{text}, {recurring:,} of them on one that recurs (a template copy)." if copies else f"{text}."


def _exchangeability(results: AuditResults) -> str:
    warned = [printable(drift.property) for drift in results.drift if drift.warns]
    roles = results.roles
    separation = (
        "Not tested on templates, by an earlier version"
        if roles is None
        else f"Candidates told from the cohort by templates: AUC {roles.auc:.2f}, p {roles.p_value:.2g}"
    )
    differ = f"; they differ in {', '.join(warned)}" if warned else ""
    return f"{separation}{differ}. All error rates rest on it, and no test shows that it holds."


def _markdown_table(table: Table) -> str:
    rule = "|---" * len(table.columns) + "|"
    head, *rows = [f"| {' | '.join(map(_cell, row))} |" for row in (table.columns, *table.rows)]
    return "\n".join([head, rule, *rows])


def _cell(text: str) -> str:
    """Text that a reader of Markdown shows as it is."""
    for mark in ("\\", "|", "<", "`", "*", "[", "]", "_"):
        text = text.replace(mark, f"\\{mark}" if mark != "<" else "&lt;")
    return " ".join(text.split())
