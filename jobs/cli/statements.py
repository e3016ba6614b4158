"""What an audit says of all its candidates together: how sure its flags are, and what silence means.

The report's first screen, its annex and the terminal say it in the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from jobs.cli.display import placebo_text
from schemas.printable import printable
from schemas.run.results import AuditResults, CeilingResult, EvaluationResult, PowerResult, ScoreResult
from schemas.run.tables import Verdict
from schemas.wording import (
    PERCENT,
    likeness_text,
    noticed_text,
    people,
    per_million,
    plain,
    probability,
    share,
)

EXCHANGEABLE = "if candidates who did not leak are exchangeable with the cohort"
"""What the p-values, and all that is counted with them, hold for."""


@dataclass(frozen=True)
class Statement:
    """label: what it is about; text, condition: what is said, and what it holds for, without an end mark."""

    label: str
    text: str
    condition: str = ""

    @property
    def whole(self) -> str:
        return f"{self.text}, {self.condition}" if self.condition else self.text


def statements_of(results: AuditResults) -> Iterator[Statement]:
    """In the order in which a reader needs them: flags, all who leaked, those who are not flagged."""
    headline, power = results.scores[results.headline], results.power
    if (above := above_cohort(results)) is not None:
        yield above
    if headline.flagged:
        yield Statement(
            "False flags, on average over such audits",
            f"at most {share(power.fdr)} of those who are flagged",
            EXCHANGEABLE,
        )
    if headline.flagged_fdp_bound is not None:
        yield false_flags(len(headline.flagged), headline.flagged_fdp_bound)
    if headline.least_members:
        yield _least(headline.least_members, power.candidates, flags=bool(headline.flagged))
    if (silence := silence_of(headline)) is not None:
        yield silence
    if (cleared := cleared_of(headline, power)) is not None:
        yield cleared
    if results.ceiling is not None:
        yield ceiling_of(results.ceiling)
    if results.placebo is not None and not results.placebo.warns:
        yield Statement("The placebo audit passes", placebo_text(results.placebo))
    yield Statement(
        "All candidates together",
        "if none of them had leaked, scores as high as theirs would have a chance of "
        f"{probability(headline.set_p_value)} (p)",
    )


def above_cohort(results: AuditResults) -> Statement | None:
    """Whom no evidence could have flagged, but who have the most that this cohort can show; None if nobody.

    With how many would be there by chance, and how many people the cohort lacks.
    """
    headline, power = results.scores[results.headline], results.power
    if not (count := len(headline.at_floor)):
        return None
    by_chance = sum(group.candidates * group.smallest_p_value for group in power.groups)
    fewer, score = power.flaggable_from, "scores" if count == 1 else "score"
    return Statement(
        f"Above the whole cohort, {count:,}",
        f"{score} higher than everybody of the cohort{_by_every_score(results)}; "
        f"by chance about {by_chance:.2g} of {people(power.candidates)} would; the cohort is too small to "
        f"flag {'them' if fewer is None else f'fewer than {people(fewer)}'}{_lacking(power)}",
        EXCHANGEABLE,
    )


def _by_every_score(results: AuditResults) -> str:
    if len(results.scores) == 1:
        return ""
    headline = results.scores[results.headline]
    everywhere = set(headline.at_floor).intersection(
        *({*score.at_floor, *score.flagged} for score in results.scores)
    )
    if len(everywhere) == len(headline.at_floor):
        return ", by every score"
    return f", {len(everywhere):,} of them by every score" if everywhere else ", not by every score"


def _lacking(power: PowerResult) -> str:
    needed = power.cohort_needed_for_one
    least = min(group.cohort for group in power.groups)
    if least >= needed:
        return ""
    where = "" if len(power.groups) == 1 else " in the smallest stratum"
    return (
        f": with {people(needed)}{where}, {needed - least:,} more than now, whoever still scores higher "
        "than all of them can be flagged alone"
    )


def small_p_value(power: PowerResult) -> str:
    """What somebody has whom there is reason to show, flagged or not."""
    return f"a p-value of {power.fdr:g} or less"


def small_p_values(count: int, power: PowerResult) -> str:
    """Of those with a small p-value whom the audit does not flag: how many there are, and would be anyway."""
    return (
        f"{people(count)} with {small_p_value(power)} whom this audit does not flag; if nobody leaked, about "
        f"{power.fdr * power.candidates:.2g} of {people(power.candidates)} would have one by chance"
    )


def conditions_of(statements: Iterable[Statement]) -> list[str]:
    """Each once, in the order of the statements."""
    return list(dict.fromkeys(statement.condition for statement in statements if statement.condition))


def statement_lines(statements: Sequence[Statement]) -> Iterator[str]:
    """For a terminal: a line each, then the conditions, to which the numbers in brackets point."""
    conditions = conditions_of(statements)
    for statement in statements:
        mark = f" [{conditions.index(statement.condition) + 1}]" if statement.condition else ""
        yield plain(f"{statement.label[0].lower()}{statement.label[1:]}: {statement.text}{mark}")
    yield from (plain(f"[{number}] {condition}") for number, condition in enumerate(conditions, start=1))


def false_flags(flagged: int, bound: float) -> Statement:
    """bound: the largest share of false flags, with 95 % confidence."""
    false = int(bound * flagged + 1e-9)
    if false == flagged:
        return Statement(
            "False flags here",
            f"{flagged:,} of {flagged:,} flagged could be by chance: so few flags allow no smaller number "
            f"with 95{PERCENT} confidence",
            EXCHANGEABLE,
        )
    least = f"at most {false:,} of the {flagged:,} flagged ({share(bound)}) are" if false else "no flag is"
    return Statement(
        "False flags here",
        f"with 95{PERCENT} confidence {least} by chance; people who look like a leaked person may be flagged "
        "too",
        EXCHANGEABLE,
    )


def _least(members: int, candidates: int, *, flags: bool) -> Statement:
    who = "whether flagged or not" if flags else "although this audit cannot say who"
    return Statement(
        "How many at least",
        f"with 95{PERCENT} confidence at least {members:,} of {people(candidates)} leaked, {who}",
        EXCHANGEABLE,
    )


def silence_of(score: ScoreResult) -> Statement | None:
    """What `not detected` says; None if nobody is."""
    detectable = score.detectable_share
    if detectable is None:
        return None
    text = noticed_text(detectable, score.detectable_chance, score.likeness)
    if score.detectable_for_most is not None:
        text += " on average over people"
    if score.detectable_low is not None:
        low = per_million(score.detectable_low) if score.detectable_low else "0"
        high = "no upper limit" if score.detectable_high is None else per_million(score.detectable_high)
        text += f" (95{PERCENT} interval of the {per_million(detectable)}: {low} to {high})"
    if score.detectable_for_most is not None:
        text += f". For each of 95 of 100 people {per_million(score.detectable_for_most)} are enough"
    return Statement(
        f"Not detected, {score.verdicts[Verdict.NOT_DETECTED]:,}",
        text,
        likeness_text(score.likeness, score.likeness_source),
    )


def cleared_of(score: ScoreResult, power: PowerResult) -> Statement | None:
    """How many are cleared at which of a few shares, named beforehand; None if nobody is at any."""
    counts = sorted(((float(at), count) for at, count in score.cleared.items() if count), reverse=True)
    if not counts:
        return None
    (largest, most), *others = ((f"1 of {1 / at:,.0f}", count) for at, count in counts)
    fewer = "".join(f", {count:,} of them in less than {at}" for at, count in others)
    return Statement(
        "Cleared, person by person",
        f"{people(most)}, flagged or not, {'is' if most == 1 else 'are'} in less than {largest} samples"
        f"{fewer}: people of the cohort who were in so many would score higher. Of those cleared at one of "
        f"these shares, on average at most 5{PERCENT} are in more",
        power_condition(power),
    )


def ceiling_of(ceiling: CeilingResult) -> Statement:
    """What nobody of those who are not flagged exceeds."""
    label = "What nobody exceeds"
    if ceiling.share is None:
        return Statement(
            label,
            "it cannot be said how often those who are not flagged are among the samples at most: "
            f"{printable(ceiling.reason or '')}",
        )
    whom = "the one person who is" if ceiling.people == 1 else f"the {people(ceiling.people)} who are"
    return Statement(
        label,
        f"with 95{PERCENT} confidence none of {whom} not flagged is in more than 1 of "
        f"{int(1 / ceiling.share + 1e-9):,} compared samples, unless the recogniser matches them less often "
        f"than {share(ceiling.recognised)} of the cohort's people",
        likeness_text(ceiling.likeness, ceiling.likeness_source),
    )


def alone_of(results: AuditResults) -> Statement | None:
    """From which share of the samples on one person alone is flagged.

    None where somebody is `not detected`: that says it better, as it counts on all who are flagged.
    """
    power = results.power
    least = power.share_for_power.get("0.95")
    if least is None or results.scores[results.headline].detectable_share is not None:
        return None
    return Statement(
        "One person alone",
        f"is flagged with an estimated chance of 95{PERCENT} from {per_million(least)} of a million compared "
        "samples on, and may well be missed in fewer",
        power_condition(power),
    )


def power_condition(power: PowerResult) -> str:
    """What the estimated power holds for."""
    return likeness_text(power.likeness, power.likeness_source)


def by_labels(evaluation: EvaluationResult) -> Statement:
    return Statement(
        "Against the labels",
        f"a person who was in the training data ({evaluation.members:,}) scores higher than one who was not "
        f"({evaluation.non_members:,}) in {share(evaluation.roc_auc.value)} of the pairs (ROC AUC; a tie "
        "counts half)",
    )
