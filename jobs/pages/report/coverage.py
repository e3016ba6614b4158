"""Who and what could be judged at all, and whether the cohort fits the candidates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from jobs.pages.finished_run import FinishedRun
from jobs.pages.page import Section, Table
from schemas.printable import printable
from schemas.run.checks import DriftResult, PlaceboResult, RoleTestResult
from schemas.run.results import GroupResult, SampleCounts
from schemas.run.tables import Outcome, Role
from schemas.wording import probability, share

UNUSABLE = "no usable photo"


def coverage_section(run: FinishedRun) -> Section:
    results = run.results
    return Section(
        "Who and what could be judged",
        tables=[
            _samples_table(results.samples),
            Table(
                ("group", "side", "people", "photos", "face found", "refused", "rejection rate", "flagged"),
                list(_strata_rows(run)),
                "Photos that gave no template. A group with more refusals may be judged less well.",
            ),
            Table(
                ("stratum", "photos used", "candidates", "cohort", "smallest p-value", "flagged together"),
                list(map(_group_row, results.power.groups)),
                "Candidates are compared with the cohort of their stratum, at the same number of photos. One "
                "of a group can be flagged only if at least so many are flagged together.",
            ),
            Table(
                ("property", "candidates", "cohort", "p", ""),
                [
                    *map(_drift_row, results.drift),
                    *_roles_rows(results.roles),
                    *_placebo_rows(results.placebo),
                ],
                "Are candidates and cohort alike? The p-values rest on it; only this is looked at.",
            ),
        ],
    )


def _samples_table(samples: SampleCounts) -> Table:
    ordered = sorted(samples.outcomes.items(), key=lambda item: -item[1])
    rows = [[printable(name), f"{count:,}", share(count / samples.rows)] for name, count in ordered]
    return Table(("outcome", "samples", "share"), rows, "What became of the samples.")


@dataclass
class _Stratum:
    """People of one side and stratum, and their photos by outcome."""

    people: set[str] = field(default_factory=set)
    outcomes: Counter[str] = field(default_factory=Counter)


def _strata_rows(run: FinishedRun) -> Iterator[list[str]]:
    flagged = set(run.headline.flagged)
    for role in Role:
        for name, stratum in sorted(_strata(run, role).items()):
            photos = stratum.outcomes.total()
            detected = share(1 - stratum.outcomes[Outcome.NO_FACE] / photos)
            refused = photos - stratum.outcomes[Outcome.OK]
            flagged_count = f"{len(stratum.people & flagged):,}" if role is Role.CANDIDATE else ""
            counts = [f"{count:,}" for count in (len(stratum.people), photos)]
            rates = [detected, f"{refused:,}", share(refused / photos)]
            yield [printable(name), str(role), *counts, *rates, flagged_count]


def _strata(run: FinishedRun, role: Role) -> dict[str, _Stratum]:
    """By name; people without any template have none, and are under UNUSABLE."""
    people = run.people(run.headline, role)
    names = dict(zip(people["identity"].to_pylist(), people["stratum"].to_pylist(), strict=True))
    strata: dict[str, _Stratum] = {}
    for row in run.photos.to_pylist():
        if row["role"] == role:
            stratum = strata.setdefault(names.get(row["identity"], UNUSABLE), _Stratum())
            stratum.people.add(row["identity"])
            stratum.outcomes[row["outcome"]] += 1
    return strata


def _group_row(group: GroupResult) -> list[str]:
    counts = [f"{count:,}" for count in (group.photos, group.candidates, group.cohort)]
    together = "never" if group.flaggable_from is None else f"{group.flaggable_from:,}"
    return [printable(group.stratum), *counts, probability(group.smallest_p_value), together]


def _roles_rows(test: RoleTestResult | None) -> Iterator[list[str]]:
    if test is not None:
        conclusion = "tell them apart" if test.warns else "do not tell them apart"
        name = "templates, by a linear classifier of roles"
        yield [name, f"AUC {test.auc:.2f}", "0.50 is chance", probability(test.p_value), conclusion]


def _placebo_rows(placebo: PlaceboResult | None) -> Iterator[list[str]]:
    if placebo is not None:
        conclusion = "warning: they differ" if placebo.warns else "no difference found"
        flagged = f"{len(placebo.flagged):,} flagged"
        yield [
            "scores of a placebo, all together",
            flagged,
            "none should be",
            probability(placebo.set_p_value),
            conclusion,
        ]


def _drift_row(drift: DriftResult) -> list[str]:
    conclusion = "warning: they differ" if drift.warns else "no difference found"
    means = [f"{mean:.3g}" for mean in (drift.candidates, drift.cohort)]
    return [printable(drift.property), *means, probability(drift.p_value), conclusion]
