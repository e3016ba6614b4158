"""The people of the gallery, and how well recognisers tell them apart, for `results.json`."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from distributed.embedding.fingerprint import recognizer_fields
from distributed.gallery.quality import GalleryQuality
from distributed.stages.results.facts import AuditFacts
from distributed.statistics.people.separation import MatedRate, Separation
from schemas.run.results import (
    Interval,
    MatedResult,
    OperatingPointResult,
    PeopleCounts,
    RecognizerResult,
    SeparationResult,
)
from schemas.run.tables import Outcome, Role


def people_counts(table: pa.Table, role: Role) -> PeopleCounts:
    side = table.filter(pc.equal(table["role"], role))
    outcomes = Counter(side["outcome"].to_pylist())
    accepted = side.filter(pc.equal(side["outcome"], Outcome.OK))
    everyone = set(side["identity"].to_pylist())
    return PeopleCounts(
        identities=len(everyone),
        photos=side.num_rows,
        refused={name: count for name, count in sorted(outcomes.items()) if name != Outcome.OK},
        without_template=sorted(everyone - set(accepted["identity"].to_pylist())),
    )


def recognizer_results(facts: AuditFacts, quality: GalleryQuality) -> list[RecognizerResult]:
    fields, assessment = recognizer_fields(facts.spec.faces), facts.assessment
    return [
        RecognizerResult(
            name=name,
            sha256=fields[f"faces.recognizers.{name}.sha256"],
            dimension=assessment.gallery.templates[name].shape[1],
            operating_point=OperatingPointResult(
                threshold=point.threshold, fmr=point.fmr, comparisons=point.comparisons
            ),
            separation=_separation_result(quality.recognizers[name]),
        )
        for name, point in assessment.points.items()
    ]


def _separation_result(separation: Separation) -> SeparationResult:
    """As `results.json` keeps it."""
    return SeparationResult(
        quality=separation.quality,
        people=separation.people,
        photos=separation.photos,
        non_mated_mean=separation.mean,
        non_mated_deviation=separation.deviation,
        mated=None if separation.mated is None else _mated_result(separation.mated),
    )


def _mated_result(mated_rate: MatedRate) -> MatedResult:
    return MatedResult(
        people=mated_rate.people,
        fmr=mated_rate.fmr,
        threshold=mated_rate.threshold,
        tar=Interval(value=mated_rate.tar, low=mated_rate.low, high=mated_rate.high),
        mean_similarity=mated_rate.mean_similarity,
    )
