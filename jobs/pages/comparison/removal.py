"""What a comparison says of people who were to be removed between its runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jobs.cli.display import Shown, between
from jobs.pages.comparison.run_comparison import RunComparison
from jobs.pages.page import BAD, GOOD, OPEN, Section, Table
from schemas.run.comparison import ForgottenPerson, GroupInRun, LeakAtK, Removal, UnlearnedResult
from schemas.wording import PERCENT, per_million, probability, share


def removal_tone(unlearned: UnlearnedResult) -> str:
    removals = {person.removal for person in unlearned.people}
    if Removal.STILL_THERE in removals:
        return BAD
    return OPEN if Removal.UNKNOWN in removals else GOOD


def removal_text(unlearned: UnlearnedResult) -> str:
    """The answer in a sentence."""
    counts = {each: sum(person.removal == each for person in unlearned.people) for each in Removal}
    still, cleared, unknown = (counts[each] for each in Removal)
    parts = [f"B still flags {still:,}"] if still else ["B flags none"]
    if cleared:
        parts.append(f"{cleared:,} {'is' if cleared == 1 else 'are'} cleared")
    if unknown:
        parts.append(f"nothing can be said of {unknown:,}")
    whom = "1 person who was" if len(unlearned.people) == 1 else f"{len(unlearned.people):,} people who were"
    return f"Of {whom} to be removed, {'; '.join(parts)}."


def removal_notes(unlearned: UnlearnedResult) -> Iterator[str]:
    """What to know of the answer, each a sentence."""
    unseen = sum(not person.was_flagged for person in unlearned.people)
    if unseen:
        yield (
            f"A does not flag {unseen:,} of the people who were to be removed: that B does not either is no "
            "sign of a removal."
        )
    before, after = unlearned.retained_before, unlearned.retained_after
    if before.flagged:
        yield (
            f"Of the people who were to stay A flags {before.flagged:,}, B {after.flagged:,}: where these "
            "are gone too, B shows less of everybody, which is no removal."
        )


def removal_section(comparison: RunComparison, show: Shown) -> Section:
    unlearned = comparison.unlearned
    assert unlearned is not None, "asked for with --unlearned alone"
    return Section(
        "Were they removed?",
        [removal_text(unlearned), *removal_notes(unlearned), *_method()],
        tables=[_people_table(unlearned, show), _groups_table(unlearned)],
    )


def _method() -> Iterator[str]:
    yield (
        "Cleared at a number, of a million compared samples: the person scores lower than people of the "
        "cohort who are planted in so many. Of all candidates cleared at a number named beforehand, on "
        f"average at most 5{PERCENT} are in more. No test can show that somebody is in none."
    )
    yield (
        "Leak at k is the estimated chance that at least one of k samples is a hit of the person (leak@k of "
        "Reisizadeh et al. 2025, arXiv 2511.04934, with hits as leaks). By chance: at the cohort's mean rate."
    )


def _people_table(unlearned: UnlearnedResult, show: Shown) -> Table:
    (k_before, k_after) = (
        (unlearned.people[0].leak_before.k, unlearned.people[0].leak_after.k) if unlearned.people else (0, 0)
    )
    return Table(
        (
            "to be removed",
            "A: verdict",
            "B says",
            "A: cleared at",
            "B: cleared at",
            f"A: leak at {k_before:,}",
            f"B: leak at {k_after:,}",
        ),
        [[show(person.identity), *_person_cells(person)] for person in unlearned.people],
        f"Still there: flagged by B; unknown: neither flagged nor cleared. Cleared at: of a million compared "
        f"samples. Leak: with 95{PERCENT} intervals of the rates of hits.",
    )


def _person_cells(person: ForgottenPerson) -> Sequence[str]:
    return [
        "leaked" if person.was_flagged else "not flagged",
        str(person.removal),
        _cleared(person.cleared_before),
        _cleared(person.cleared_after),
        between(person.leak_before.share, share),
        between(person.leak_after.share, share),
    ]


def _groups_table(unlearned: UnlearnedResult) -> Table:
    sides = [
        ("to be removed, A", unlearned.forgotten_before),
        ("to be removed, B", unlearned.forgotten_after),
        ("to stay, A", unlearned.retained_before),
        ("to stay, B", unlearned.retained_after),
    ]
    ks = sorted({leak.k for _, group in sides for leak in group.leak_at_k})
    return Table(
        (
            "",
            "people",
            "flagged",
            "cleared",
            "mean score",
            "p of all together",
            *(f"leak at {k:,}" for k in ks),
        ),
        [[name, *_group_cells(group, ks)] for name, group in sides],
        f"Means with 95{PERCENT} bootstrap intervals over people; of fewer than five from the smallest to "
        "the largest. p: that none of them is a member, by permutations against the cohort.",
    )


def _group_cells(group: GroupInRun, ks: Sequence[int]) -> Iterator[str]:
    yield from (f"{count:,}" for count in (group.people, group.flagged, group.cleared))
    yield "" if group.score is None else between(group.score, "{:.3f}".format)
    yield "" if group.set_p_value is None else probability(group.set_p_value)
    leaks = {leak.k: leak for leak in group.leak_at_k}
    yield from (_leak(leaks[k]) if k in leaks else "" for k in ks)


def _leak(leak: LeakAtK) -> str:
    return f"{between(leak.share, share)}; {share(leak.by_chance)} by chance"


def _cleared(at: float | None) -> str:
    return "–" if at is None else per_million(at)
