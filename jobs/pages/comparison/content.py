"""What a comparison of two runs says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from jobs.cli.display import PERCENT, Shown, between, people, probability, share
from jobs.pages.comparison.comparability import source_differences
from jobs.pages.comparison.run_comparison import NAMES, PersonPair, RunComparison, hits_text
from jobs.pages.figure_files import FigureFile
from jobs.pages.finished_run import FinishedRun
from jobs.pages.page import BAD, GOOD, OPEN, Picture, Section, Summary, Table, data_uri
from schemas.printable import printable
from schemas.run.tables import Verdict

SHOWN = 100
PRIVATE = (
    "This comparison says which people generators leak. It is personal data: keep it where such data is kept."
)
COLUMNS = ("", "A: verdict", "B: verdict", "A: p", "B: p", "A: score", "B: score")
HIT_COLUMNS = ("A: hits per million", "B: hits per million", "more often in")


def summary_of(one: RunComparison) -> Summary:
    both, only_first, only_second = (
        len(one.leaked(*sides)) for sides in ((True, True), (True, False), (False, True))
    )
    flagged = (both + only_first, both + only_second)
    open_ = [run.headline.verdicts[Verdict.INCONCLUSIVE] for run in (one.first, one.second)]
    told = [_found(count, missing) for count, missing in zip(flagged, open_, strict=True)]
    changed = sum(pair.has_changed for pair in one.pairs)
    return Summary(
        verdict=f"Of {people(len(one.pairs))}, A exposes {told[0]}; B exposes {told[1]}.",
        tone=BAD if any(flagged) else OPEN if any(open_) else GOOD,
        counts=f"{both:,} by both, {only_first:,} by A only, {only_second:,} by B only; the verdict on "
        f"{people(changed)} differs. A: {named(one.first)}. B: {named(one.second)}.",
        certainty=list(_certainty(one)),
        open_questions=[*one.warnings, *_always()],
        warning=PRIVATE,
    )


def _found(flagged: int, inconclusive: int) -> str:
    """Nobody found exposed is no good news while verdicts are missing."""
    return f"{flagged or 'nobody'}" + (f", with no verdict on {inconclusive:,}" if inconclusive else "")


def named(run: FinishedRun) -> str:
    return printable(f"{run.results.name}, {run.results.created[:10]}, {run.store.location}")


def _certainty(one: RunComparison) -> Iterator[str]:
    power = one.first.results.power
    yield (
        f"Both are judged by {one.first.headline.score_name} of {one.first.headline.recognizer}, against "
        f"one cohort of {people(power.cohort)}, at a false-discovery rate of {share(power.fdr)} each."
    )
    for name, run in zip(NAMES, (one.first, one.second), strict=True):
        bound = run.headline.flagged_fdp_bound
        if bound is not None:
            yield f"Of the flags of {name}, with 95{PERCENT} confidence at most {share(bound)} are by chance."


def _always() -> Iterator[str]:
    yield (
        "Flagged in one run only does not mean that the other generator does not leak the person: a p-value "
        "just above the limit and one just below are nearly the same evidence. Look at both p-values, and "
        "whether the intervals of the hits are apart."
    )
    yield "No false-discovery rate is claimed for the differences between the runs."


def sections_of(one: RunComparison, figures: Iterable[FigureFile], show: Shown) -> list[Section]:
    pictures = [
        Picture(figure.title, figure.caption, data_uri("image/svg+xml", figure.svg)) for figure in figures
    ]
    differences = source_differences(one.first, one.second)
    return [
        Section("People", pictures=pictures, tables=[people_table(one, show)]),
        Section("The runs", tables=[measures_table(one)]),
        Section(
            "What differs in how they were made",
            [] if differences else ["Nothing: generator, seed, models and versions are the same."],
            tables=[Table(("field", *NAMES), differences)] if differences else [],
        ),
    ]


def people_table(one: RunComparison, show: Shown) -> Table:
    """The first SHOWN of the comparison; everybody whom a run flags is before all others."""
    rest = len(one.pairs) - SHOWN
    left_out = f" {people(rest)} with larger p-values are left out." if rest > 0 else ""
    return Table(
        COLUMNS + HIT_COLUMNS,
        [[show(pair.identity), *person_cells(pair)] for pair in one.pairs[:SHOWN]],
        f"Flagged by both first, then by one. Intervals: 95{PERCENT}; among many people a few are apart "
        f"by chance.{left_out}",
    )


def person_cells(pair: PersonPair) -> Sequence[str]:
    first, second = pair.first, pair.second
    return [
        first["verdict"],
        second["verdict"],
        probability(first["p_value"]),
        probability(second["p_value"]),
        f"{first['score']:.3f}",
        f"{second['score']:.3f}",
        hits_text(pair.hits_first),
        hits_text(pair.hits_second),
        pair.more_often,
    ]


def measures_table(one: RunComparison) -> Table:
    """One row for each measure, in the same words for both runs."""
    sides = [dict(_measures(run)) for run in (one.first, one.second)]
    rows = [[name, *(side[name] for side in sides)] for name in sides[0]]
    return Table(("", *NAMES), [row for row in rows if any(row[1:])])


def _measures(run: FinishedRun) -> Iterator[tuple[str, str]]:
    results, headline = run.results, run.headline
    samples, least = results.samples, results.power.share_for_power.get("0.95")
    yield "samples", f"{samples.rows:,}"
    yield (
        "samples with a face",
        "not searched for" if samples.detection_rate is None else share(samples.detection_rate),
    )
    yield "samples compared", share(samples.outcomes.get("ok", 0) / samples.rows)
    for verdict in Verdict:
        yield verdict, f"{headline.verdicts[verdict]:,}"
    yield "p of all candidates together", probability(headline.set_p_value)
    yield "over-represented", f"{len(results.over_represented):,}"
    yield (
        f"flagged alone with 95{PERCENT} power from",
        "no share is enough" if least is None else f"{least * 1e6:,.0f} per million samples",
    )
    found = results.population
    estimate = (
        "" if found is None else "too many to count" if found.estimate is None else f"{found.estimate:,.0f}"
    )
    yield "people it makes, about", estimate
    evaluation = headline.evaluation
    yield "ROC AUC by the labels", "" if evaluation is None else between(evaluation.roc_auc, "{:.3f}".format)
