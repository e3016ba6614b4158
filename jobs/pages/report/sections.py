"""What a report says below its first screen, but for the people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from distributed.statistics.evaluation import non_members_needed
from jobs.cli.display import Shown, between, people_made
from jobs.cli.statements import power_condition
from jobs.pages.figure_files import FigureFile
from jobs.pages.finished_run import FinishedRun
from jobs.pages.judgements import read_judgements
from jobs.pages.page import Picture, Section, Table, data_uri
from jobs.pages.report.coverage import coverage_section
from jobs.pages.report.judgements import judgements_section
from jobs.pages.report.overlap import overlap_section
from jobs.pages.report.recognizer_agreement import RecognizerPair, recognizer_pairs
from schemas.printable import printable
from schemas.run.results import EvaluationResult, PopulationResult, ScoreResult
from schemas.run.tables import Verdict
from schemas.wording import PERCENT, people, per_million, probability, share

CORRECTIONS = {"storey": "Storey", "bh": "Benjamini-Hochberg", "by": "Benjamini-Yekutieli"}


def sections_of(run: FinishedRun, figures: Sequence[FigureFile], show: Shown) -> Iterator[Section]:
    """In the order of the page. show: identity as stored -> as on the page."""
    pictures = {figure.name: _picture(figure) for figure in figures}
    if reviewers := read_judgements(run.store):
        yield judgements_section(reviewers)
    yield _scores(run, _some(pictures, "scores", "calibration"))
    yield _samples(run, _some(pictures, "samples"))
    if run.headline.evaluation is not None:
        yield _labels(run, _some(pictures, "roc", "det", "precision_recall"))
    yield coverage_section(run)
    if run.results.overlap is not None:
        yield overlap_section(run.results.overlap, show)
    if len(run.results.recognizers) > 1:
        yield _agreement(run, _some(pictures, "agreement"))
    if run.headline.settings:
        yield _settings(run)
    if run.results.population is not None:
        yield _population(run.results.population)
    if run.results.ledger is not None:
        yield _ledger(run, show)


def _picture(figure: FigureFile) -> Picture:
    return Picture(figure.title, figure.caption, data_uri("image/svg+xml", figure.svg))


def _some(pictures: Mapping[str, Picture], *names: str) -> list[Picture]:
    return [pictures[name] for name in names if name in pictures]


def _scores(run: FinishedRun, pictures: Sequence[Picture]) -> Section:
    table = Table(
        ("score", "recogniser", "correction", *Verdict, "p of all together"),
        [_score_row(score, score is run.headline) for score in run.results.scores],
        "The spec's first score decides. Choosing another one after seeing this table would void the "
        "false-discovery rate.",
    )
    return Section("Scores", pictures=pictures, tables=[table])


def _score_row(score: ScoreResult, first: bool) -> list[str]:
    name = f"{score.score_name}{' (decides)' if first else ''}"
    counts = [f"{score.verdicts[verdict]:,}" for verdict in Verdict]
    return [name, score.recognizer, CORRECTIONS[score.correction], *counts, probability(score.set_p_value)]


def _samples(run: FinishedRun, pictures: Sequence[Picture]) -> Section:
    power, prefixes = run.results.power, run.headline.prefixes
    rows = [[f"{prefix.samples:,}", f"{prefix.flagged:,}"] for prefix in prefixes]
    columns = ["samples", "people flagged"]
    if any(prefix.roc_auc is not None for prefix in prefixes):
        columns.append("ROC AUC")
        for row, prefix in zip(rows, prefixes, strict=True):
            row.append("" if prefix.roc_auc is None else f"{prefix.roc_auc:.3f}")
    shares = [
        [f"{per_million(point.share)} per million", "unknown" if point.power is None else share(point.power)]
        for point in power.shares
    ]
    return Section(
        "Were there enough samples?",
        pictures=pictures,
        tables=[
            Table(
                columns,
                rows,
                "What the first samples alone show.",
            ),
            Table(("a person appears in", "flagged alone with"), shares, _power_caption(run)),
        ],
    )


def _power_caption(run: FinishedRun) -> str:
    power = run.results.power
    if power.match_rate is None:
        return "Too few of the cohort have two photos to say how often the recogniser matches a person."
    if power.flaggable_from != 1:
        return "The cohort is too small to flag one person alone."
    return (
        "Estimated power to flag one person alone, as a mean over the cohort's people, "
        f"{power_condition(power)}. Of samples that could be compared.{_beside_others(run)}"
    )


def _beside_others(run: FinishedRun) -> str:
    """Why a share here is another one than that of the first screen."""
    flagged, detectable = len(run.headline.flagged), run.headline.detectable_share
    if not flagged or detectable is None:
        return ""
    return (
        f" Beside the {flagged:,} who are flagged a larger p-value, so less, is enough: therefore not "
        f"detected speaks of {per_million(detectable)} per million."
    )


def _labels(run: FinishedRun, pictures: Sequence[Picture]) -> Section:
    evaluations = [(score, score.evaluation) for score in run.results.scores if score.evaluation is not None]
    evaluation = evaluations[0][1]
    bounds = [f"TPR at {share(point.fpr)} FPR" for point in evaluation.tpr_at_fpr]
    table = Table(
        ("score", "recogniser", "ROC AUC", "average precision", "equal error rate", *bounds),
        [[score.score_name, score.recognizer, *_evaluation_cells(each)] for score, each in evaluations],
        f"With 95{PERCENT} intervals over identities.{_unresolved(evaluation)}",
    )
    text = [
        f"The truth was given for {people(evaluation.members + evaluation.non_members)}, "
        f"{evaluation.members:,} of them members. It is read after the verdicts and changes none."
    ]
    return Section("Against the labels", text, pictures=pictures, tables=[table])


def _evaluation_cells(evaluation: EvaluationResult) -> Iterator[str]:
    for interval in (evaluation.roc_auc, evaluation.average_precision, evaluation.equal_error_rate):
        yield between(interval, "{:.3f}".format)
    for each in evaluation.tpr_at_fpr:
        resolved = each.tpr if each.resolved else None
        yield "refused" if resolved is None else between(resolved, "{:.2f}".format)


def _unresolved(evaluation: EvaluationResult) -> str:
    """Why some rates are refused, if any are."""
    rates = [each.fpr for each in evaluation.tpr_at_fpr if not each.resolved]
    if not rates:
        return ""
    return (
        f" A TPR at {share(max(rates))} FPR takes {non_members_needed(max(rates)):,} or more people "
        f"labelled as no members, and there are {evaluation.non_members:,}: refused."
    )


def _agreement(run: FinishedRun, pictures: Sequence[Picture]) -> Section:
    table = Table(
        (
            "score",
            "recognisers",
            "rank correlation",
            "flagged by both",
            "by the first only",
            "by the second only",
        ),
        [_pair_row(recognizer_pair) for recognizer_pair in recognizer_pairs(run)],
        "Spearman's rank correlation over all candidates. A flag that only one recogniser gives may be that "
        "recogniser's blind spot, or the other's.",
    )
    return Section("Do the recognisers agree?", pictures=pictures, tables=[table])


def _pair_row(recognizer_pair: RecognizerPair) -> list[str]:
    rank_correlation = recognizer_pair.rank_correlation
    first, second = recognizer_pair.flagged_first, recognizer_pair.flagged_second
    counts = (first & second, first & ~second, second & ~first)
    return [
        recognizer_pair.score_name,
        f"{recognizer_pair.first_name}, {recognizer_pair.second_name}",
        "" if rank_correlation is None else f"{rank_correlation:.2f}",
        *(f"{int(each.sum()):,}" for each in counts),
    ]


def _settings(run: FinishedRun) -> Section:
    names = list(run.headline.settings[0].factors)
    rows = [
        [
            *(printable(str(setting.factors[name])) for name in names),
            f"{setting.samples:,}",
            f"{len(setting.flagged):,}",
        ]
        for setting in run.headline.settings
    ]
    return Section(
        "Settings of the generator",
        tables=[
            Table(
                (*map(printable, names), "samples", "people flagged"),
                rows,
                "By the samples of each setting alone. Who is flagged: settings.parquet.",
            )
        ],
    )


def _population(population: PopulationResult) -> Section:
    text = [
        f"By its matches {people_made(population)}. Of {population.samples:,} samples, "
        f"{population.collisions:,} pairs match."
    ]
    crowds = [
        [f"sample {crowd.sample_id}", f"{crowd.samples:,}", share(crowd.share)] for crowd in population.crowds
    ]
    table = Table(
        ("match", "samples", "share of all"),
        crowds,
        "The largest clusters of samples that match one sample: perhaps people made often.",
    )
    return Section("How many people does it make?", text, tables=[table] if crowds else [])


def _ledger(run: FinishedRun, show: Shown) -> Section:
    ledger = run.results.ledger
    assert ledger is not None
    names = ", ".join(sorted(map(show, ledger.flagged))) or "nobody"
    return Section(
        "Repeated audits",
        [
            f"This is night {ledger.night:,} of a ledger whose audits share one false-discovery rate of "
            f"{share(ledger.alpha)}. All nights together flag {len(ledger.flagged):,}: {names}."
        ],
    )
