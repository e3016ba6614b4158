"""The first screen of a report: the verdict, how sure it is, and what could not be concluded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from jobs.display import people, probability, readable, share
from jobs.finished_run import FinishedRun
from jobs.page import BAD, GOOD, OPEN, Summary
from schemas.results import AuditResults, PeopleCounts
from schemas.tables import Verdict

PRIVATE = (
    "This report says which people a generator leaks. It is personal data: keep it where such data is kept."
)
PRIVATE_WITH_FACES = (
    "This report names people and shows their photos beside what the generator made of them. It is personal "
    "data of the most sensitive kind: show it only to those who must decide on it."
)


def summary_of(run: FinishedRun, *, with_faces: bool) -> Summary:
    sentence, tone = verdict_sentence(run)
    counts = ", ".join(f"{run.headline.verdicts[one]:,} {one}" for one in Verdict)
    results = run.results
    return Summary(
        verdict=sentence,
        tone=tone,
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
        return "No verdict: this audit could not have shown anybody to be exposed.", OPEN
    if open_:
        return f"Nobody of {people(all_)} was found exposed; there is no verdict on {open_:,}.", OPEN
    return f"Nobody of {people(all_)} was found exposed.", GOOD


def _certainty(run: FinishedRun) -> Iterator[str]:
    power, headline = run.results.power, run.headline
    yield f"Of all whom such an audit flags, on average at most {share(power.fdr)} are flagged by chance."
    if headline.flagged_fdp_bound is not None:
        flagged = len(headline.flagged)
        false = int(headline.flagged_fdp_bound * flagged + 1e-9)
        yield (
            f"With 95 % confidence, at most {false:,} of the {flagged:,} flagged "
            f"({share(headline.flagged_fdp_bound)}) are flagged by chance."
        )
    yield (
        f"The yardstick is a cohort of {people(power.cohort)} known to be outside the training data. The "
        f"smallest p-value that it allows is {probability(power.smallest_p_value)}."
    )
    yield (
        "That the candidates as a whole look like the cohort has a p-value of "
        f"{probability(headline.set_p_value)}."
    )
    if headline.evaluation is not None:
        found = headline.evaluation
        yield (
            f"Labels were given for {found.members:,} members and {found.non_members:,} others: the score puts "
            f"a member before another in {share(found.roc_auc.value)} of pairs (ROC AUC)."
        )


def _open_questions(run: FinishedRun) -> Iterator[str]:
    results = run.results
    yield from _verdicts_missing(run)
    yield _power(run)
    enough = results.power.flaggable_from
    if enough is None or enough > 1:
        least = "nobody at all" if enough is None else f"fewer than {enough:,} people"
        yield (
            f"A cohort of this size cannot flag {least}, however strong the evidence; for one person alone it "
            f"takes {results.power.cohort_needed_for_one:,}."
        )
    yield from _photos_missing(results)
    yield _detection(results)
    yield from (
        f"Candidates and cohort differ in {readable(one.property)}: the p-values hold for people who were "
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
            f"{people(explained)}: no verdict, since the samples that resemble them fit another candidate better."
        )
    for reason, count in Counter(one["reason"] for one in rows if one["resembles"] is None).items():
        yield f"{people(count)}: no verdict. {readable(reason)}."


def _power(run: FinishedRun) -> str:
    least = run.results.power.share_for_power.get("0.95")
    if least is None:
        return (
            "By the score max, the cohort and the number of samples give no share of samples in which a person "
            "would have to appear to be flagged alone with 95 % certainty."
        )
    return (
        f"Somebody who appears in fewer than {least * 1e6:,.0f} of a million samples may be missed: that many "
        "are flagged alone with 95 % certainty, if samples resemble a person as photos of one person do."
    )


def _photos_missing(results: AuditResults) -> Iterator[str]:
    sides: tuple[tuple[str, PeopleCounts], ...] = (
        ("candidates", results.candidates),
        ("cohort", results.cohort),
    )
    for name, side in sides:
        if side.refused:
            reasons = ", ".join(f"{count:,} {readable(one)}" for one, count in side.refused.items())
            lost = len(side.without_template)
            then = f"; {people(lost)} of them could not be judged at all" if lost else ""
            yield f"Photos of the {name}: {sum(side.refused.values()):,} of {side.photos:,} refused ({reasons}){then}."


def _detection(results: AuditResults) -> str:
    found = results.samples.detection_rate
    if found is None:
        return (
            "Faces in samples were not searched for: each sample was cropped where the spec says a face is."
        )
    return (
        f"A face was found in {share(found)} of the samples; the others could not be compared with anybody."
    )
