"""The first screen of a report: the verdict, how sure it is, and what could not be concluded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import PurePath
from urllib.parse import urlsplit

from jobs.cli.display import placebo_text, roles_text, sentence
from jobs.cli.gallery import overlap_warnings
from jobs.cli.statements import Statement, alone_of, by_labels, power_condition, statements_of
from jobs.pages.finished_run import FinishedRun
from jobs.pages.page import BAD, GOOD, OPEN, Summary
from schemas.printable import printable
from schemas.run.results import AuditResults, PeopleCounts, PowerResult
from schemas.run.tables import Outcome, Verdict
from schemas.wording import PERCENT, people, probability, refused_text, share

STOREYS = (
    " This is counted by Benjamini and Hochberg's procedure; Storey's, which was used, may flag fewer people "
    "together, if few candidates have large p-values."
)
PRIVATE = (
    "This report is about real people, and says whom a generator leaks. It is personal data: keep it where "
    "such data is kept."
)
PRIVATE_NOBODY = (
    "This report flags nobody, but holds scores of people. They are personal data: keep it where such data "
    "is kept."
)
PRIVATE_WITH_FACES = (
    "This report shows photos of people beside what the generator made of them. It is personal data "
    "of the most sensitive kind: show it only to those who must decide on it."
)


def summary_of(run: FinishedRun, *, with_faces: bool) -> Summary:
    verdict, tone = verdict_sentence(run)
    counts = ", ".join(f"{run.headline.verdicts[conclusion]:,} {conclusion}" for conclusion in Verdict)
    results = run.results
    return Summary(
        verdict=verdict,
        tone=OPEN if tone == GOOD and _in_doubt(results) else tone,
        counts=f"{counts}, at a false-discovery rate of {share(results.power.fdr)}, from "
        f"{results.samples.rows:,} samples",
        certainty=list(_certainty(results)),
        open_questions=list(_open_questions(run)),
        warning=_warning(run, with_faces),
        audited=list(_audited(results)),
        terms=_terms(results.power),
    )


def _certainty(results: AuditResults) -> Iterator[Statement]:
    yield from statements_of(results)
    evaluation = results.scores[results.headline].evaluation
    if evaluation is not None:
        yield by_labels(evaluation)


def _audited(results: AuditResults) -> Iterator[tuple[str, str]]:
    generator = results.spec["generator"]
    # An address may carry a token in its query, a path somebody's name in its folders.
    named = PurePath(str(generator.get("path", ""))).name or urlsplit(str(generator.get("url", ""))).hostname
    yield "generator", printable(f"{named} ({generator['kind']})" if named else str(generator["kind"]))
    recognizers = [recognizer.name for recognizer in results.recognizers]
    yield "recogniser" if len(recognizers) == 1 else "recognisers", printable(", ".join(recognizers))
    given = results.authorisation or {}
    yield "controller", printable(given.get("controller", "no authorisation was given"))
    if "purpose" in given:
        yield "purpose", printable(given["purpose"])


def _terms(power: PowerResult) -> list[tuple[str, str]]:
    return [
        ("samples", "what the generator has made for this audit; those with a face are compared with people"),
        ("candidates", f"the {people(power.candidates)} whom the audit is about"),
        ("leaked", "samples resemble the person by more than chance explains"),
        ("score", "a number for each person: the larger it is, the more samples resemble them"),
        (
            "cohort",
            f"{people(power.cohort)} who, by the auditor's word, are outside the training data; their scores "
            "show how large a score gets by chance",
        ),
        (
            "p-value",
            "the share of the cohort, the candidate counted in, that scores at least as high as the "
            f"candidate; this cohort can give none smaller than {probability(power.smallest_p_value)}",
        ),
        ("exchangeable", "photographed alike, and alike in all else that matters to a recogniser"),
        ("false-discovery rate", "the share of false flags among all flags, on average over such audits"),
    ]


def _in_doubt(results: AuditResults) -> bool:
    tests = (results.roles, results.placebo)
    return bool(results.gallery_warnings) or any(test is not None and test.warns for test in tests)


def _warning(run: FinishedRun, with_faces: bool) -> str:
    if with_faces:
        return PRIVATE_WITH_FACES
    return PRIVATE if run.headline.verdicts[Verdict.LEAKED] else PRIVATE_NOBODY


def verdict_sentence(run: FinishedRun) -> tuple[str, str]:
    """The verdict in one sentence, and its tone."""
    counts, all_ = run.headline.verdicts, run.results.power.candidates
    leaked, open_ = counts[Verdict.LEAKED], counts[Verdict.INCONCLUSIVE]
    without = f"; there is no verdict on {open_:,}" if open_ else ""
    if leaked:
        return (
            f"{leaked:,} of {people(all_)} {'is' if leaked == 1 else 'are'} flagged as leaked{without}.",
            BAD,
        )
    if above := len(run.headline.at_floor):
        score = "scores" if above == 1 else "score"
        return (
            f"Nobody is flagged, but {above:,} of {people(all_)} {score} higher than the whole cohort, which "
            "is too small to flag them.",
            OPEN,
        )
    if open_ == all_:
        return "No verdict: this audit cannot say whether the generator leaks anybody.", OPEN
    if open_:
        return f"Nobody of {people(all_)} is flagged{without}.", OPEN
    return f"Nobody of {people(all_)} was detected.", GOOD


def _open_questions(run: FinishedRun) -> Iterator[str]:
    results = run.results
    yield from map(sentence, results.gallery_warnings)
    yield from (
        f"{overlap_warning[0].upper()}{overlap_warning[1:]}."
        for overlap_warning in overlap_warnings(results.overlap)
    )
    if results.placebo is not None and results.placebo.warns:
        yield sentence(placebo_text(results.placebo))
    yield from _verdicts_missing(run)
    yield from _power(results)
    yield from _cohort_too_small(results.power, run.headline.correction, above=bool(run.headline.at_floor))
    yield from _photos_missing(results)
    yield _detection(results)
    yield from (
        f"Candidates and cohort differ in {printable(drift.property)}: the p-values hold for people who were "
        "photographed alike."
        for drift in results.drift
        if drift.warns
    )
    if results.roles is not None and results.roles.warns:
        yield sentence(roles_text(results.roles))
    if run.headline.verdicts[Verdict.NOT_DETECTED]:
        yield (
            "Not detected does not mean that a person was not used: more samples or another recogniser may "
            "find what this audit missed."
        )
    yield "Nothing is said about people who were not among the candidates."


def _cohort_too_small(power: PowerResult, correction: str, *, above: bool) -> Iterator[str]:
    """By the largest cohort; a smaller group's limits are in the table of groups.

    above: somebody scores higher than the cohort, which is said first, and how large it should be.
    """
    enough = power.flaggable_from
    if enough == 1 or above:
        return
    whom = "anybody" if enough is None else f"fewer than {enough:,} people"
    missing = power.cohort_needed_for_one - power.cohort
    yield (
        f"A cohort of this size cannot flag {whom}, however strong the evidence. To flag one person alone it "
        f"takes a cohort of {power.cohort_needed_for_one:,}: add {missing:,}."
        f"{STOREYS if correction == 'storey' else ''}"
    )


def _verdicts_missing(run: FinishedRun) -> Iterator[str]:
    """How many are inconclusive, by reason; names are left to the sections below."""
    rows = [
        person for person in run.people(run.headline).to_pylist() if person["verdict"] == Verdict.INCONCLUSIVE
    ]
    for reason, count in Counter(row["reason"] for row in rows).items():
        yield f"{people(count)}: no verdict. {sentence(reason)}"


def _power(results: AuditResults) -> Iterator[str]:
    """Of one person alone: what is said of those who are not detected, or inconclusive, says more."""
    power, unclear = results.power, results.scores[results.headline].verdicts[Verdict.INCONCLUSIVE]
    if (alone := alone_of(results)) is not None:
        yield f"{alone.label} {alone.whole}."
    elif power.match_rate is None:
        yield (
            "Too few of the cohort have two photos to say how often the recogniser matches a person: how "
            "often somebody must appear to be noticed is not known."
        )
    elif (
        power.flaggable_from == 1
        and power.share_for_power.get("0.95") is None
        and not (_says_share(results) or unclear)
    ):
        yield (
            f"One person alone would not be flagged with a chance of 95{PERCENT}, however often the "
            f"generator shows the person: an estimate, {power_condition(power)}."
        )


def _says_share(results: AuditResults) -> bool:
    return results.scores[results.headline].detectable_share is not None


def _photos_missing(results: AuditResults) -> Iterator[str]:
    sides: tuple[tuple[str, PeopleCounts], ...] = (
        ("candidates", results.candidates),
        ("cohort", results.cohort),
    )
    for name, side in sides:
        if side.refused:
            reasons = printable(", ".join(refused_text(*each) for each in side.refused.items()))
            lost = len(side.without_template)
            then = f"; {people(lost)} could not be judged at all" if lost else ""
            all_refused = sum(side.refused.values())
            yield f"Photos of the {name}: {all_refused:,} of {side.photos:,} refused ({reasons}){then}."


def _detection(results: AuditResults) -> str:
    detection_rate = results.samples.detection_rate
    if results.spec["generator"]["kind"] == "templates":
        return "Faces in samples were not searched for: the samples were given as templates, without images."
    if detection_rate is None:
        return (
            "Faces in samples were not searched for: each sample was cropped where the spec says a face is."
        )
    compared = results.samples.outcomes.get(Outcome.OK, 0) / results.samples.rows
    return (
        f"A face was found in {share(detection_rate)} of the samples. {share(compared)} were compared; the "
        "others could not be compared with anybody."
    )
