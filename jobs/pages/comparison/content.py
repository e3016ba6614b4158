"""What a comparison of two runs says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from jobs.cli.display import Shown, between, people_made
from jobs.cli.statements import Statement, false_flags, silence_of, small_p_value
from jobs.pages.comparison.comparability import source_differences
from jobs.pages.comparison.removal import removal_notes, removal_section, removal_text, removal_tone
from jobs.pages.comparison.run_comparison import NAMES, PersonPair, RunComparison, hits_text
from jobs.pages.figure_files import FigureFile
from jobs.pages.finished_run import FinishedRun
from jobs.pages.page import BAD, GOOD, OPEN, Picture, Section, Summary, Table, data_uri
from schemas.printable import printable
from schemas.run.artefacts import COMPARISON_RESULT_FILE
from schemas.run.results import PowerResult
from schemas.run.tables import Verdict
from schemas.wording import PERCENT, people, per_million, probability, share

SHOWN = 100
PRIVATE = (
    "This comparison is about real people, and says whom generators leak. It is personal data: keep it where "
    "such data is kept."
)
PRIVATE_NOBODY = (
    "Neither run flags anybody, but this comparison holds scores of people. They are personal data: keep it "
    "where such data is kept."
)
COLUMNS = ("", "A: verdict", "B: verdict", "A: p", "B: p", "A: score", "B: score")
HIT_COLUMNS = ("A: hits per million", "B: hits per million", "more often in")


def summary_of(comparison: RunComparison) -> Summary:
    both, only_first, only_second = (
        len(comparison.leaked(*sides)) for sides in ((True, True), (True, False), (False, True))
    )
    flagged = (both + only_first, both + only_second)
    open_ = [run.headline.verdicts[Verdict.INCONCLUSIVE] for run in (comparison.first, comparison.second)]
    sides = zip(NAMES, flagged, open_, strict=True)
    conclusions = "; ".join(
        _concluded(name, count, missing, len(comparison.pairs)) for name, count, missing in sides
    )
    changed = sum(pair.has_changed for pair in comparison.pairs)
    verdict, tone = f"Of {people(len(comparison.pairs))}, {conclusions}.", _tone(flagged, open_)
    counts = (
        f"Flagged: {both:,} by both, {only_first:,} by A only, {only_second:,} by B only; the verdict "
        f"on {people(changed)} differs. A: {named(comparison.first)}. B: {named(comparison.second)}."
    )
    if (unlearned := comparison.unlearned) is not None:
        verdict, tone, counts = removal_text(unlearned), removal_tone(unlearned), f"{verdict} {counts}"
    return Summary(
        verdict=verdict,
        tone=tone,
        counts=counts,
        certainty=list(_certainty(comparison)),
        open_questions=[*comparison.warnings, *_open_questions(comparison)],
        warning=PRIVATE if any(flagged) else PRIVATE_NOBODY,
    )


def _tone(flagged: Sequence[int], inconclusive: Sequence[int]) -> str:
    return BAD if any(flagged) else OPEN if any(inconclusive) else GOOD


def _concluded(name: str, flagged: int, inconclusive: int, candidates: int) -> str:
    """No more than the run itself says."""
    if inconclusive == candidates:
        return f"{name} reaches no verdict on anybody"
    without = f", with no verdict on {inconclusive:,}" if inconclusive else ""
    if flagged:
        return f"{name} flags {flagged:,}{without}"
    return f"{name} flags nobody{without}" if inconclusive else f"{name} detects nobody"


def named(run: FinishedRun) -> str:
    return printable(f"{run.results.name}, {run.results.created[:10]}, {run.store.location}")


def _certainty(comparison: RunComparison) -> Iterator[Statement]:
    power, headline = comparison.first.results.power, comparison.first.headline
    yield Statement(
        "Judged",
        f"both by {headline.score_name} of {headline.recognizer}, against one cohort of "
        f"{people(power.cohort)}, at a false-discovery rate of {share(power.fdr)} each",
    )
    for name, run in zip(NAMES, (comparison.first, comparison.second), strict=True):
        bound = run.headline.flagged_fdp_bound
        if bound is not None:
            yield replace(false_flags(len(run.headline.flagged), bound), label=f"False flags of {name}")
        if (silence := silence_of(run.headline)) is not None:
            yield replace(silence, label=f"Not detected by {name}")


def _open_questions(comparison: RunComparison) -> Iterator[str]:
    if comparison.unlearned is not None:
        yield from removal_notes(comparison.unlearned)
    if comparison.leaked(True, False) or comparison.leaked(False, True):
        yield (
            "Flagged in one run only does not mean that the other generator does not leak the person: a "
            "p-value just above the limit and one just below are nearly the same evidence. Look at both "
            "p-values, and whether the intervals of the hits are apart."
        )
    yield "No error rate is claimed for the differences between the runs."


def sections_of(comparison: RunComparison, figures: Iterable[FigureFile], show: Shown) -> list[Section]:
    pictures = [
        Picture(figure.title, figure.caption, data_uri("image/svg+xml", figure.svg)) for figure in figures
    ]
    differences = source_differences(comparison.first, comparison.second)
    removal = [] if comparison.unlearned is None else [removal_section(comparison, show)]
    return [
        *removal,
        Section(
            "People",
            [reason_text(comparison)],
            pictures=pictures,
            tables=[people_table(comparison, show)] if comparison.shown else [],
        ),
        Section("The runs", tables=[measures_table(comparison)]),
        Section(
            "What differs in how they were made",
            [] if differences else ["Nothing: generator, seed, models and versions are the same."],
            tables=[Table(("field", *NAMES), differences)] if differences else [],
        ),
    ]


def people_table(comparison: RunComparison, show: Shown) -> Table:
    """The first SHOWN whom there is reason to show; everybody whom a run flags is before all others."""
    return Table(
        COLUMNS + HIT_COLUMNS,
        [[show(pair.identity), *person_cells(pair)] for pair in comparison.shown[:SHOWN]],
        f"Flagged by both first, then by one, then who has another verdict. Intervals: 95{PERCENT}; among "
        "many people a few are apart by chance.",
    )


def reason_text(comparison: RunComparison) -> str:
    """Why these people are shown, and nobody else."""
    count, limit = len(comparison.shown), small_p_value(comparison.first.results.power)
    everybody = f"Everybody is in {COMPARISON_RESULT_FILE}, by pseudonym."
    if not count:
        return f"Nobody is shown, as nobody has {limit} in either run. {everybody}"
    first = f"the first {SHOWN} of " if count > SHOWN else ""
    return (
        f"Shown: {first}{people(count)} whom at least one run flags, puts above its whole cohort, or gives "
        f"{limit}. {everybody}"
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


def measures_table(comparison: RunComparison) -> Table:
    """One row for each measure, in the same words for both runs."""
    sides = [dict(_measures(run)) for run in (comparison.first, comparison.second)]
    rows = [[name, *(side[name] for side in sides)] for name in sides[0]]
    return Table(("", *NAMES), [row for row in rows if any(row[1:])])


def _measures(run: FinishedRun) -> Iterator[tuple[str, str]]:
    results, headline = run.results, run.headline
    samples = results.samples
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
    yield f"flagged alone with an estimated chance of 95{PERCENT} from", _share_needed(results.power)
    population = results.population
    yield "people", "" if population is None else people_made(population)
    evaluation = headline.evaluation
    yield "ROC AUC by the labels", "" if evaluation is None else between(evaluation.roc_auc, "{:.3f}".format)


def _share_needed(power: PowerResult) -> str:
    least = power.share_for_power.get("0.95")
    if least is not None:
        return f"{per_million(least)} per million compared samples"
    return "unknown" if power.match_rate is None else "no share is enough"
