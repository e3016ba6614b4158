"""Whether the numbers of two finished runs mean the same, and what to know before they are compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from distributed.statistics.night_drift import Change, distribution_change, rate_change
from jobs.pages.finished_run import FinishedRun, column
from schemas.errors import WrongRunError
from schemas.printable import printable
from schemas.run.results import AuditResults
from schemas.run.tables import Outcome, Role

VERSION_PREFIX = "version."
SAME_MEMBERSHIP = ("topk", "fdr", "correction", "hit", "hit_fmr", "photos", "strata", "least_stratum")
"""Keys of `membership` that change what a score or a p-value is."""
FACES_FOUND = (Outcome.OK, Outcome.SEVERAL_FACES)


def require_comparable(first: FinishedRun, second: FinishedRun) -> None:
    """Raises WrongRunError, with all that differs."""
    differences = [
        *_gallery_differences(first.results, second.results),
        *_score_differences(first, second),
        *_membership_differences(first, second),
        *_method_differences(first, second),
    ]
    if differences:
        raise WrongRunError(refusal(first, second, differences))


def refusal(first: FinishedRun, second: FinishedRun, differences: list[str]) -> str:
    """One line that says what to do."""
    return (
        f"{first.store.location} and {second.store.location} cannot be compared: {'; '.join(differences)}. "
        "Audit both generators with one gallery under one key, the same recognisers and the same membership"
    )


def _gallery_differences(first: AuditResults, second: AuditResults) -> Iterator[str]:
    for name in different_fields(first.gallery_fingerprint, second.gallery_fingerprint):
        if not name.startswith(VERSION_PREFIX):
            yield f"{name} differs"


def different_fields(first: dict[str, str], second: dict[str, str]) -> list[str]:
    """Names of fields that differ, or that only one has."""
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


def _score_differences(first: FinishedRun, second: FinishedRun) -> Iterator[str]:
    names = [f"{run.headline.score_name} of {run.headline.recognizer}" for run in (first, second)]
    if names[0] != names[1]:
        yield f"the first is judged by {names[0]}, the second by {names[1]}"


def _membership_differences(first: FinishedRun, second: FinishedRun) -> Iterator[str]:
    of_first, of_second = (_membership(run) for run in (first, second))
    for name, value in of_first.items():
        if value != of_second[name]:
            yield f"membership.{name} is {value} in the first, {of_second[name]} in the second"
    groups = [[group.model_dump() for group in run.results.power.groups] for run in (first, second)]
    if groups[0] != groups[1]:
        yield "people are calibrated in other groups"


def _membership(run: FinishedRun) -> dict[str, Any]:
    given = run.results.spec["membership"]
    keys = [*SAME_MEMBERSHIP, *(["reference"] if run.headline.score_name == "calibrated" else [])]
    return {name: given.get(name) for name in keys}


def _method_differences(first: FinishedRun, second: FinishedRun) -> Iterator[str]:
    """Version 0.1 compared samples with photos, and a hit was a similarity; now both are of people."""
    earlier = [run.least_margin is None for run in (first, second)]
    if earlier[0] != earlier[1]:
        yield f"the {'first' if earlier[0] else 'second'} is judged by version 0.1: audit it again"


def warnings_about(first: FinishedRun, second: FinishedRun) -> Iterator[str]:
    """What a reader must know, though the numbers may be compared."""
    samples = [run.results.samples.rows for run in (first, second)]
    if samples[0] != samples[1]:
        yield (
            f"A drew {samples[0]:,} samples, B {samples[1]:,}: scores and counts of hits grow with it "
            "and cannot be compared. Rates per million and p-values can; more samples notice rarer people."
        )
    if first.least_margin != second.least_margin:
        yield (
            f"A hit fits a person better than anybody else by {first.least_margin:g} or more in A, by "
            f"{second.least_margin:g} or more in B, as the cohort's own margins are others: rates of hits "
            "cannot be compared."
        )
    if is_same_source(first, second):
        yield "Both runs drew the same samples as far as both go: they are not independent."
    changed = different_fields(first.results.gallery_fingerprint, second.results.gallery_fingerprint)
    if changed:
        names = ", ".join(name.removeprefix(VERSION_PREFIX) for name in changed)
        yield f"Other versions were at work, of {names}."
    faces = [name for name in _sampling_differences(first, second) if name.startswith("faces.")]
    if faces:
        yield f"Faces in samples were found otherwise: {', '.join(faces)} differ."
    cohort = cohort_change(first, second)
    if samples[0] == samples[1] and cohort is not None and cohort.warns:
        yield (
            f"The cohort scores {cohort.before:.3f} in A and {cohort.after:.3f} in B on average: scores "
            "cannot be compared between the runs; p-values can."
        )
    change = detection_change(first, second)
    if change is not None and change.warns:
        yield "The share of samples with a face differs; rates per million are of samples with and without."


def is_same_source(first: FinishedRun, second: FinishedRun) -> bool:
    """Whether sample i of one is sample i of the other."""
    return not set(_sampling_differences(first, second)) - {"shard_size"}


def _sampling_differences(first: FinishedRun, second: FinishedRun) -> list[str]:
    names = different_fields(first.results.fingerprint, second.results.fingerprint)
    return [name for name in names if not name.startswith(VERSION_PREFIX)]


def source_differences(first: FinishedRun, second: FinishedRun) -> list[tuple[str, str, str]]:
    """Field, value in A, value in B: all that the samples follow from and that differs."""
    of_first, of_second = first.results.fingerprint, second.results.fingerprint
    return [
        (printable(name), printable(of_first.get(name, "")), printable(of_second.get(name, "")))
        for name in different_fields(of_first, of_second)
    ]


def detection_change(first: FinishedRun, second: FinishedRun) -> Change | None:
    """Samples with a face. None where one got a fixed crop, or where both are the same samples."""
    sides = [run.results.samples for run in (first, second)]
    if any(side.detection_rate is None for side in sides) or is_same_source(first, second):
        return None
    detected = [sum(side.outcomes.get(name, 0) for name in FACES_FOUND) for side in sides]
    return rate_change(detected[0], sides[0].rows, detected[1], sides[1].rows)


def cohort_change(first: FinishedRun, second: FinishedRun) -> Change | None:
    """The cohort's headline scores: what nobody's membership explains."""
    return distribution_change(
        *(column(run.people(run.headline, Role.COHORT), "score") for run in (first, second))
    )
