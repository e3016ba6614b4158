"""What a report says below its first screen, but for the people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import yaml

from jobs.display import Shown, between, people, probability, readable, share
from jobs.figure_files import FigureFile
from jobs.finished_run import FinishedRun
from jobs.page import Picture, Section, Table, data_uri
from jobs.recognizer_agreement import RecognizerPair, recognizer_pairs
from schemas.results import EvaluationResult, PeopleCounts, PopulationResult, ScoreResult
from schemas.tables import Outcome, Role, Verdict

UNUSABLE = "no usable photo"


def sections_of(run: FinishedRun, figures: Sequence[FigureFile], show: Shown) -> Iterator[Section]:
    """In the order of the page. show: identity as stored -> as on the page."""
    pictures = {one.name: _picture(one) for one in figures}
    yield _scores(run, _some(pictures, "scores", "calibration"))
    yield _samples(run, _some(pictures, "samples"))
    if run.headline.evaluation is not None:
        yield _labels(run, _some(pictures, "roc", "det", "precision_recall"))
    yield _judged(run)
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
        "The first row decides the verdicts. It was chosen before the run; choosing among the others now would "
        "void the false-discovery rate.",
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
    shares = [[f"{one.share * 1e6:,.0f} per million", share(one.power)] for one in power.shares]
    return Section(
        "Were there enough samples?",
        pictures=pictures,
        tables=[
            Table(("samples", "people flagged", "ROC AUC"), prefixes, "What the first samples alone show."),
            Table(
                ("a person appears in", "flagged alone with"),
                shares,
                "Power of this audit, by the score max, if samples resemble a person as photos of one person do.",
            ),
        ],
    )


def _labels(run: FinishedRun, pictures: Sequence[Picture]) -> Section:
    evaluations = [(one, one.evaluation) for one in run.results.scores if one.evaluation is not None]
    found = evaluations[0][1]
    bounds = [f"TPR at {share(one.fpr)} FPR" for one in found.tpr_at_fpr]
    table = Table(
        ("score", "recogniser", "ROC AUC", "average precision", "equal error rate", *bounds),
        [[one.score_name, one.recognizer, *_evaluation_cells(each)] for one, each in evaluations],
        "With 95 % intervals over identities. *: so low a rate cannot be told with so few non-members; it is 0.",
    )
    text = [
        f"The truth was given for {people(found.members + found.non_members)}, {found.members:,} of them "
        "members. It was read after the verdicts and changed none."
    ]
    return Section("Against the labels", text, pictures=pictures, tables=[table])


def _evaluation_cells(found: EvaluationResult) -> Iterator[str]:
    for one in (found.roc_auc, found.average_precision, found.equal_error_rate):
        yield between(one, "{:.3f}".format)
    for each in found.tpr_at_fpr:
        yield between(each.tpr, "{:.2f}".format) + ("" if each.resolved else " *")


def _judged(run: FinishedRun) -> Section:
    """Who and what could be judged at all, and whether the cohort fits the candidates."""
    results = run.results
    outcomes = [
        [readable(name), f"{count:,}", share(count / results.samples.rows)]
        for name, count in sorted(results.samples.outcomes.items(), key=lambda one: -one[1])
    ]
    drift = [
        [one.property, f"{one.candidates:.3g}", f"{one.cohort:.3g}", probability(one.p_value)]
        + ["warning: they differ" if one.warns else "no difference found"]
        for one in results.drift
    ]
    return Section(
        "Who and what could be judged",
        tables=[
            Table(("samples", "count", "share"), outcomes, "What became of the samples."),
            Table(
                ("group", "side", "people", "photos", "refused", "rejection rate", "flagged"),
                list(_strata_rows(run)),
                "Photos that gave no template. Groups whose photos are refused more often are judged less well.",
            ),
            Table(
                ("stratum", "photos used", "candidates", "cohort", "smallest p-value"),
                [
                    [readable(one.stratum), str(one.photos), f"{one.candidates:,}", f"{one.cohort:,}"]
                    + [probability(one.smallest_p_value)]
                    for one in results.power.groups
                ],
                "Candidates are compared with the cohort of their stratum, at the same number of photos.",
            ),
            Table(
                ("property", "candidates", "cohort", "p", ""),
                drift,
                "Were candidates and cohort photographed alike? The p-values rest on it.",
            ),
        ],
    )


def _strata_rows(run: FinishedRun) -> Iterator[list[str]]:
    """Photos and refusals by side and stratum; those without any template have no stratum."""
    flagged = set(run.headline.flagged)
    for role in Role:
        people_ = run.people(run.headline, role)
        stratum = dict(zip(people_["identity"].to_pylist(), people_["stratum"].to_pylist(), strict=True))
        photos: Counter[str] = Counter()
        refused: Counter[str] = Counter()
        members: dict[str, set[str]] = {}
        for row in run.photos.to_pylist():
            if row["role"] == role:
                group = stratum.get(row["identity"], UNUSABLE)
                photos[group] += 1
                refused[group] += row["outcome"] != Outcome.OK
                members.setdefault(group, set()).add(row["identity"])
        for group in sorted(members):
            rate_ = share(refused[group] / photos[group])
            found = f"{len(members[group] & flagged):,}" if role is Role.CANDIDATE else ""
            counts = (len(members[group]), photos[group], refused[group])
            yield [readable(group), str(role), *(f"{one:,}" for one in counts), rate_, found]


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
        [*(readable(str(one.factors[name])) for name in names), f"{one.samples:,}", f"{len(one.flagged):,}"]
        for one in run.headline.settings
    ]
    return Section(
        "Settings of the generator",
        tables=[
            Table(
                (*map(readable, names), "samples", "people flagged"),
                rows,
                "Each setting by its own samples alone, at the same rate within the setting. Who: settings.parquet.",
            )
        ],
    )


def _population(found: PopulationResult) -> Section:
    estimate = (
        "more people than can be counted" if found.estimate is None else f"about {found.estimate:,.0f} people"
    )
    high = "no upper bound" if found.high is None else f"{found.high:,.0f}"
    text = [
        f"The generator makes {estimate} (95 %: {found.low:,.0f} to {high}), counted as if it made each "
        f"equally often. Of {found.samples:,} samples, {found.collisions:,} pairs show the same person to "
        f"{found.recognizer}."
    ]
    crowds = [
        [f"sample {one.sample_id}", f"{one.samples:,}", between(one.share, share)] for one in found.crowds
    ]
    table = Table(("looks like", "samples", "share of all"), crowds, "People that the generator makes most.")
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


def provenance_section(run: FinishedRun) -> Section:
    """All it takes to make the run again."""
    results = run.results
    digests = {
        "samples": results.fingerprint_sha256,
        "gallery": results.gallery_fingerprint_sha256,
        "verdicts": results.verdict_fingerprint_sha256,
    } | {f"recogniser {one.name}": one.sha256 for one in results.recognizers}
    machine = dict(results.machine) | {"made": results.created, "seed": str(results.spec.get("seed", 0))}
    points = [
        [
            one.name,
            str(one.dimension),
            f"{one.operating_point.threshold:.4f}",
            f"{one.operating_point.fmr:.2g}",
        ]
        + [f"{one.operating_point.comparisons:,}"]
        for one in results.recognizers
    ]
    return Section(
        "How to make it again",
        ["The same spec, models and versions give the same tables. The spec is below, with absolute paths."],
        tables=[
            Table(("what", "sha256"), _pairs(digests), "Digests."),
            Table(
                ("recogniser", "template", "similarity of a hit", "false match rate", "comparisons"),
                points,
                "A sample hits a person from this similarity on; among photos of different people of the cohort.",
            ),
            Table(("field", "value"), _pairs(results.fingerprint), "The fingerprint of the samples."),
            Table(("package", "version"), _pairs(results.versions), "Versions."),
            Table(("run", "value"), _pairs(machine), "Where and when."),
            Table(
                ("stage", "seconds"),
                [[name, f"{spent:,.1f}"] for name, spent in results.seconds.items()],
                "Time of the last invocation; stages of shards are summed over workers.",
            ),
        ],
        preformatted=_yaml(results.spec),
    )


def _pairs(fields: Mapping[str, str]) -> list[list[str]]:
    return [[readable(name), readable(value)] for name, value in fields.items()]


def _yaml(spec: Mapping[str, object]) -> str:
    """Escapes whatever is not plain text, as YAML does."""
    return yaml.safe_dump(dict(spec), sort_keys=False, allow_unicode=False)
