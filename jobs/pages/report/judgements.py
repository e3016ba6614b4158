"""The report's section on what reviewers saw, who compared faces without knowing the verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from jobs.pages.page import Section, Table
from schemas.judgements import Decision, Group, Judgement, Judgements
from schemas.printable import printable
from schemas.wording import PERCENT, share

GROUPS = {
    Group.FLAGGED: "flagged candidates",
    Group.NOT_FLAGGED: "other candidates",
    Group.COHORT: "cohort",
}


def judgements_section(reviewers: Sequence[Judgements]) -> Section:
    """Counts by group with intervals, and how well each two reviewers agree beyond chance."""
    rows = [
        [printable(each.reviewer), title, *_cells(_of_group(each, group))]
        for each in reviewers
        for group, title in GROUPS.items()
    ]
    table = Table(
        ("reviewer", "people", "pairs", *Decision, f"same (95{PERCENT})"),
        rows,
        "A pair is a person's photos and the sample most similar to them by the recogniser. If the cohort's "
        "pairs look the same as often, the likeness says nothing of training. No verdict rests on this.",
    )
    text = [
        "Reviewers compared faces without names, scores and verdicts, in an order drawn by the audit's seed."
    ]
    return Section("What reviewers saw", [*text, *_agreements(reviewers)], tables=[table])


def _of_group(of_reviewer: Judgements, group: Group) -> list[Judgement]:
    return [each for each in of_reviewer.judgements if each.pair.group == group]


def _cells(judgements: Sequence[Judgement]) -> Iterator[str]:
    # scipy.stats takes a second to import.
    from scipy.stats import binomtest

    counts = {decision: sum(each.decision == decision for each in judgements) for decision in Decision}
    yield f"{len(judgements):,}"
    yield from (f"{count:,}" for count in counts.values())
    if not judgements:
        yield ""
        return
    same = binomtest(counts[Decision.SAME], len(judgements))
    interval = same.proportion_ci(0.95, "exact")
    yield f"{share(same.statistic)} ({share(interval.low)} to {share(interval.high)})"


def _agreements(reviewers: Sequence[Judgements]) -> Iterator[str]:
    for first, second in combinations(reviewers, 2):
        both = _judged_by_both(first, second)
        names = f"{printable(first.reviewer)} and {printable(second.reviewer)}"
        if both:
            yield f"{names} judged {len(both):,} of the same pairs: {_agreement(both)}."


def _judged_by_both(first: Judgements, second: Judgements) -> list[tuple[Decision, Decision]]:
    of_second = {_pair(each): each.decision for each in second.judgements}
    return [(each.decision, of_second[_pair(each)]) for each in first.judgements if _pair(each) in of_second]


def _pair(judgement: Judgement) -> tuple[str, int]:
    return judgement.pair.identity, judgement.pair.sample_id


def _agreement(both: Sequence[tuple[Decision, Decision]]) -> str:
    """Cohen 1960: (observed - expected agreement) / (1 - expected agreement)."""
    # sklearn takes a second to import.
    from sklearn.metrics import cohen_kappa_score

    agreed = sum(first == second for first, second in both) / len(both)
    said = {decision for pair in both for decision in pair}
    if len(said) == 1:
        return f"they agree on all, and as both always say {said.pop()}, Cohen's \u03ba is undefined"
    kappa = cohen_kappa_score([first for first, _ in both], [second for _, second in both])
    return f"they agree on {share(agreed)}, Cohen's \u03ba {kappa:.2f} (1: always, 0: as by chance)"
