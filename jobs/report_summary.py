"""The first screen of a report: the verdict, how sure it is, and what could not be concluded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from jobs.display import PERCENT, people, probability, share
from jobs.finished_run import FinishedRun
from jobs.gallery_lines import gallery_sentence
from jobs.page import BAD, GOOD, OPEN, Summary
from schemas.printable import printable
from schemas.results import AuditResults, PeopleCounts
from schemas.tables import Verdict

PRIVATE = (
    "This report says which people a generator leaks. It is personal data: keep it where such data is kept."
)
PRIVATE_WITH_FACES = (
    "This report shows photos of people beside what the generator made of them. It is personal data "
    "of the most sensitive kind: show it only to those who must decide on it."
)


def summary_of(run: FinishedRun, *, with_faces: bool) -> Summary:
    sentence, tone = verdict_sentence(run)
    counts = ", ".join(f"{run.headline.verdicts[one]:,} {one}" for one in Verdict)
    results = run.results
    return Summary(
        verdict=sentence,
        tone=OPEN if tone == GOOD and results.gallery_warnings else tone,
        counts=f"{counts}, at a false-discovery rate of {share(results.power.fdr)}, from "
        f"{results.samples.rows:,} samples",
        certainty=list(_certainty(run)),
        open_questions=list(_open_questions(run)),
        warning=PRIVATE_WITH_FACES if with_faces else PRIVATE,
    )


def verdict_sentence(run: FinishedRun) -> tuple[str, str]:
    """The verdict in one sentence, and its tone."""
    counts, all_ = run.headline.verdicts, run.results.power.candidates
    leaked, open_ = counts[Verdict.LEAKED], counts[Verdict.INCONCLUSIVE]
    if leaked:
        return f"{leaked:,} of {people(all_)} {'is' if leaked == 1 else 'are'} exposed.", BAD
    if open_ == all_:
        return "No verdict: this audit cannot say whether anybody is exposed.", OPEN
    if open_:
        return f"Nobody of {people(all_)} was found exposed; there is no verdict on {open_:,}.", OPEN
    return f"Nobody of {people(all_)} was found exposed.", GOOD


def _certainty(run: FinishedRun) -> Iterator[str]:
    power, headline = run.results.power, run.headline
    yield f"Of all whom such an audit flags, on average at most {share(power.fdr)} are flagged by chance."
    if headline.flagged_fdp_bound is not None:
        yield _bound(len(headline.flagged), headline.flagged_fdp_bound)
    yield (
        f"The yardstick is a cohort of {people(power.cohort)} known to be outside the training data. The "
        f"smallest p-value that it allows is {probability(power.smallest_p_value)}."
    )
    yield f"All candidates together differ from the cohort with p {probability(headline.set_p_value)}."
    if headline.evaluation is not None:
        found = headline.evaluation
        yield (
            f"By the labels of {found.members:,} members and {found.non_members:,} others, the score puts a "
            f"member before another person in {share(found.roc_auc.value)} of pairs (ROC AUC)."
        )


def _bound(flagged: int, bound: float) -> str:
    false = int(bound * flagged + 1e-9)
    least = f"at most {false:,} of the {flagged:,} flagged ({share(bound)}) are" if false else "no flag is"
    return f"With 95{PERCENT} confidence, {least} by chance, if the cohort is like the candidates."


def _open_questions(run: FinishedRun) -> Iterator[str]:
    results = run.results
    yield from map(gallery_sentence, results.gallery_warnings)
    yield from _verdicts_missing(run)
    yield _power(run)
    enough = results.power.flaggable_from
    if enough is None or enough > 1:
        least = "nobody at all" if enough is None else f"fewer than {enough:,} people"
        yield (
            f"A cohort of this size cannot flag {least}, however strong the evidence; one person alone takes "
            f"a cohort of {results.power.cohort_needed_for_one:,}."
        )
    yield from _photos_missing(results)
    yield _detection(results)
    yield from (
        f"Candidates and cohort differ in {printable(one.property)}: the p-values hold for people who were "
        "photographed alike."
        for one in results.drift
        if one.warns
    )
    yield (
        "Not detected is not innocent: more samples or another recogniser may find what this audit missed. "
        "Nothing is said about people who were not among the candidates."
    )


def _verdicts_missing(run: FinishedRun) -> Iterator[str]:
    """How many are inconclusive, by reason; names are left to the sections below."""
    rows = [one for one in run.people(run.headline).to_pylist() if one["verdict"] == Verdict.INCONCLUSIVE]
    explained = sum(one["resembles"] is not None for one in rows)
    if explained:
        yield (
            f"{people(explained)}: no verdict. The samples that resemble them fit another candidate better."
        )
    for reason, count in Counter(one["reason"] for one in rows if one["resembles"] is None).items():
        yield f"{people(count)}: no verdict. {printable(reason)}."


def _power(run: FinishedRun) -> str:
    least = run.results.power.share_for_power.get("0.95")
    if least is None:
        return (
            "This cohort and this number of samples cannot flag one person alone by the score max with "
            f"95{PERCENT} certainty, however often the generator shows the person."
        )
    return (
        f"Somebody who appears in fewer than {least * 1e6:,.0f} of a million samples may be missed: that "
        f"many are flagged with 95{PERCENT} certainty, if samples resemble people as their photos do."
    )


def _photos_missing(results: AuditResults) -> Iterator[str]:
    sides: tuple[tuple[str, PeopleCounts], ...] = (
        ("candidates", results.candidates),
        ("cohort", results.cohort),
    )
    for name, side in sides:
        if side.refused:
            reasons = ", ".join(f"{count:,} {printable(one)}" for one, count in side.refused.items())
            lost = len(side.without_template)
            then = f"; {people(lost)} could not be judged at all" if lost else ""
            all_refused = sum(side.refused.values())
            yield f"Photos of the {name}: {all_refused:,} of {side.photos:,} refused ({reasons}){then}."


def _detection(results: AuditResults) -> str:
    found = results.samples.detection_rate
    if found is None:
        return (
            "Faces in samples were not searched for: each sample was cropped where the spec says a face is."
        )
    return (
        f"A face was found in {share(found)} of the samples; the others could not be compared with anybody."
    )
