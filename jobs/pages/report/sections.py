"""What a report says below its first screen, but for the people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from distributed.statistics.power import per_million
from jobs.cli.display import PERCENT, Shown, between, people, people_made, probability, share
from jobs.cli.overlap import overlap_section
from jobs.pages.figure_files import FigureFile
from jobs.pages.finished_run import FinishedRun
from jobs.pages.page import Picture, Section, Table, data_uri
from jobs.pages.report.coverage import coverage_section
from jobs.pages.report.recognizer_agreement import RecognizerPair, recognizer_pairs
from schemas.printable import printable
from schemas.run.results import EvaluationResult, PopulationResult, PowerResult, ScoreResult
from schemas.run.tables import Verdict


def sections_of(run: FinishedRun, figures: Sequence[FigureFile], show: Shown) -> Iterator[Section]:
    """In the order of the page. show: identity as stored -> as on the page."""
    pictures = {one.name: _picture(one) for one in figures}
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
        ("score", "recogniser", *Verdict, "p of all together"),
        [_score_row(one, one is run.headline) for one in run.results.scores],
        "The spec's first score decides. Choosing another one after seeing this table would void the "
        "false-discovery rate.",
    )
    return Section("Scores", pictures=pictures, tables=[table])


def _score_row(one: ScoreResult, first: bool) -> list[str]:
    name = f"{one.score_name}{' (decides)' if first else ''}"
    counts = [f"{one.verdicts[verdict]:,}" for verdict in Verdict]
    return [name, one.recognizer, *counts, probability(one.set_p_value)]


def _samples(run: FinishedRun, pictures: Sequence[Picture]) -> Section:
    power = run.results.power
    prefixes = [
        [f"{one.samples:,}", f"{one.flagged:,}", "" if one.roc_auc is None else f"{one.roc_auc:.3f}"]
        for one in run.headline.prefixes
    ]
    shares = [
        [f"{per_million(one.share)} per million", "unknown" if one.power is None else share(one.power)]
        for one in power.shares
    ]
    return Section(
        "Were there enough samples?",
        pictures=pictures,
        tables=[
            Table(
                ("samples", "people flagged", "ROC AUC"),
                prefixes,
                "What the first samples alone show, before lookalikes are explained away.",
            ),
            Table(("a person appears in", "flagged alone with"), shares, _power_caption(power)),
        ],
    )


def _power_caption(power: PowerResult) -> str:
    if power.match_rate is None:
        return "Too few of the cohort have two photos to say how often the recogniser matches a person."
    if power.flaggable_from != 1:
        return "The cohort is too small to flag one person alone."
    return (
        "Estimated power to flag one person alone, by the score max, as a mean over the cohort's people, if "
        "samples resemble a person as photos of one person do. Of samples that could be compared."
    )


def _labels(run: FinishedRun, pictures: Sequence[Picture]) -> Section:
    evaluations = [(one, one.evaluation) for one in run.results.scores if one.evaluation is not None]
    found = evaluations[0][1]
    bounds = [f"TPR at {share(one.fpr)} FPR" for one in found.tpr_at_fpr]
    table = Table(
        ("score", "recogniser", "ROC AUC", "average precision", "equal error rate", *bounds),
        [[one.score_name, one.recognizer, *_evaluation_cells(each)] for one, each in evaluations],
        f"With 95{PERCENT} intervals over identities. *: too few labels for so low a rate.",
    )
    text = [
        f"The truth was given for {people(found.members + found.non_members)}, {found.members:,} of them "
        "members. It is read after the verdicts and changes none."
    ]
    return Section("Against the labels", text, pictures=pictures, tables=[table])


def _evaluation_cells(found: EvaluationResult) -> Iterator[str]:
    for one in (found.roc_auc, found.average_precision, found.equal_error_rate):
        yield between(one, "{:.3f}".format)
    for each in found.tpr_at_fpr:
        yield between(each.tpr, "{:.2f}".format) + ("" if each.resolved else " *")


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
        [_pair_row(one) for one in recognizer_pairs(run)],
        "Spearman's rank correlation over all candidates. A flag that only one recogniser gives may be that "
        "recogniser's blind spot, or the other's.",
    )
    return Section("Do the recognisers agree?", pictures=pictures, tables=[table])


def _pair_row(one: RecognizerPair) -> list[str]:
    found = one.rank_correlation
    first, second = one.flagged_first, one.flagged_second
    counts = (first & second, first & ~second, second & ~first)
    return [
        one.score_name,
        f"{one.first_name}, {one.second_name}",
        "" if found is None else f"{found:.2f}",
        *(f"{int(each.sum()):,}" for each in counts),
    ]


def _settings(run: FinishedRun) -> Section:
    names = list(run.headline.settings[0].factors)
    rows = [
        [*(printable(str(one.factors[name])) for name in names), f"{one.samples:,}", f"{len(one.flagged):,}"]
        for one in run.headline.settings
    ]
    return Section(
        "Settings of the generator",
        tables=[
            Table(
                (*map(printable, names), "samples", "people flagged"),
                rows,
                "By the samples of each setting alone, before lookalikes are explained away. Who is flagged: "
                "settings.parquet.",
            )
        ],
    )


def _population(found: PopulationResult) -> Section:
    text = [
        f"By its matches {people_made(found)}. Of {found.samples:,} samples, {found.collisions:,} pairs "
        "match."
    ]
    crowds = [[f"sample {one.sample_id}", f"{one.samples:,}", share(one.share)] for one in found.crowds]
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
