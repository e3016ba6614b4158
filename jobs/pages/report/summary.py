"""The first screen of a report: the verdict, how sure it is, and what could not be concluded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from jobs.cli.display import ceiling_text, condition_of, roles_text, sentence, silence_of
from jobs.cli.overlap import overlap_warnings
from jobs.pages.finished_run import FinishedRun
from jobs.pages.page import BAD, GOOD, OPEN, Summary
from schemas.printable import printable
from schemas.run.results import AuditResults, PeopleCounts, PowerResult
from schemas.run.tables import Outcome, Verdict
from schemas.wording import PERCENT, people, per_million, probability, share

STOREYS = (
    " This is counted by Benjamini and Hochberg's procedure; Storey's, which was used, may flag fewer people "
    "together, if few candidates have large p-values."
)
PRIVATE = (
    "This report is about real people, and says of whom a generator gives evidence. It is personal data: "
    "keep it where such data is kept."
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
        certainty=list(_certainty(run)),
        open_questions=list(_open_questions(run)),
        warning=_warning(run, with_faces),
    )


def _in_doubt(results: AuditResults) -> bool:
    return bool(results.gallery_warnings) or (results.roles is not None and results.roles.warns)


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
    if open_ == all_:
        return "No verdict: this audit cannot say whether the generator leaks anybody.", OPEN
    if open_:
        return f"Nobody of {people(all_)} is flagged{without}.", OPEN
    return f"Nobody of {people(all_)} was detected.", GOOD


def _certainty(run: FinishedRun) -> Iterator[str]:
    power, headline = run.results.power, run.headline
    if headline.flagged:
        yield (
            f"On average over such audits, at most {share(power.fdr)} of those whom one flags are flagged "
            "by chance, if candidates who did not leak are exchangeable with the cohort."
        )
    if headline.flagged_fdp_bound is not None:
        yield _bound(len(headline.flagged), headline.flagged_fdp_bound)
    if headline.least_members:
        yield _least(headline.least_members, power.candidates, flags=bool(headline.flagged))
    if (silence := silence_of(headline)) is not None:
        yield f"Not detected, {headline.verdicts[Verdict.NOT_DETECTED]:,}: {silence}."
    if run.results.ceiling is not None:
        text = ceiling_text(run.results.ceiling)
        yield f"{text[0].upper()}{text[1:]}."
    yield (
        f"The yardstick is a cohort of {people(power.cohort)} who, by the auditor's word, are outside the "
        f"training data. The smallest p-value that it allows is {probability(power.smallest_p_value)}."
    )
    yield (
        f"That no candidate leaked is tested for all together as well: p {probability(headline.set_p_value)}."
    )
    if headline.evaluation is not None:
        evaluation = headline.evaluation
        yield (
            f"By the labels of {evaluation.members:,} members and {evaluation.non_members:,} others, the "
            f"score puts a member before another person in {share(evaluation.roc_auc.value)} of pairs (ROC "
            "AUC: a tie is half a pair)."
        )


def _bound(flagged: int, bound: float) -> str:
    false = int(bound * flagged + 1e-9)
    least = f"at most {false:,} of the {flagged:,} flagged ({share(bound)}) are" if false else "no flag is"
    return (
        f"With 95{PERCENT} confidence, {least} by chance, if candidates who did not leak are exchangeable "
        "with the cohort. Lookalikes of leaked people are not."
    )


def _least(members: int, candidates: int, *, flags: bool) -> str:
    who = "whether flagged or not" if flags else "although this audit cannot say who"
    return (
        f"With 95{PERCENT} confidence, at least {members:,} of {people(candidates)} leaked, {who}, if "
        "candidates who did not are exchangeable with the cohort."
    )


def _open_questions(run: FinishedRun) -> Iterator[str]:
    results = run.results
    yield from map(sentence, results.gallery_warnings)
    yield from (
        f"{overlap_warning[0].upper()}{overlap_warning[1:]}."
        for overlap_warning in overlap_warnings(results.overlap)
    )
    yield from _verdicts_missing(run)
    yield from _power(run)
    yield from _cohort_too_small(results.power, run.headline.correction)
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


def _cohort_too_small(power: PowerResult, correction: str) -> Iterator[str]:
    """By the largest cohort; a smaller group's limits are in the table of groups."""
    enough = power.flaggable_from
    if enough == 1:
        return
    whom = "anybody" if enough is None else f"fewer than {enough:,} people"
    yield (
        f"A cohort of this size cannot flag {whom}, however strong the evidence; one person alone takes a "
        f"cohort of {power.cohort_needed_for_one:,}.{STOREYS if correction == 'storey' else ''}"
    )


def _verdicts_missing(run: FinishedRun) -> Iterator[str]:
    """How many are inconclusive, by reason; names are left to the sections below."""
    rows = [
        person for person in run.people(run.headline).to_pylist() if person["verdict"] == Verdict.INCONCLUSIVE
    ]
    for reason, count in Counter(row["reason"] for row in rows).items():
        yield f"{people(count)}: no verdict. {sentence(reason)}"


def _power(run: FinishedRun) -> Iterator[str]:
    power = run.results.power
    least = power.share_for_power.get("0.95")
    if power.match_rate is None:
        yield (
            "Too few of the cohort have two photos to say how often the recogniser matches a person: how "
            "often somebody must appear to be noticed is not known."
        )
    elif least is not None:
        yield (
            f"Who appears in fewer than {per_million(least)} of a million compared samples may well be "
            f"missed: at that share one person alone is flagged with an estimated chance of 95{PERCENT}, "
            f"{condition_of(power)}."
        )
    elif power.flaggable_from == 1:
        yield (
            f"One person alone would not be flagged with a chance of 95{PERCENT}, however often the "
            f"generator shows the person: an estimate, {condition_of(power)}."
        )


def _photos_missing(results: AuditResults) -> Iterator[str]:
    sides: tuple[tuple[str, PeopleCounts], ...] = (
        ("candidates", results.candidates),
        ("cohort", results.cohort),
    )
    for name, side in sides:
        if side.refused:
            reasons = ", ".join(f"{count:,} {printable(reason)}" for reason, count in side.refused.items())
            lost = len(side.without_template)
            then = f"; {people(lost)} could not be judged at all" if lost else ""
            all_refused = sum(side.refused.values())
            yield f"Photos of the {name}: {all_refused:,} of {side.photos:,} refused ({reasons}){then}."


def _detection(results: AuditResults) -> str:
    detection_rate = results.samples.detection_rate
    if detection_rate is None:
        return (
            "Faces in samples were not searched for: each sample was cropped where the spec says a face is."
        )
    compared = results.samples.outcomes.get(Outcome.OK, 0) / results.samples.rows
    return (
        f"A face was found in {share(detection_rate)} of the samples. {share(compared)} were compared; the "
        "others could not be compared with anybody."
    )
