"""Who is among the samples, and how many people these show, for `results.json`."""

from __future__ import annotations

import math

import numpy as np

from distributed.membership.assessment import Assessment
from distributed.membership.hits import HitCounts
from schemas.run.results import (
    CrowdResult,
    Interval,
    OverRepresentedResult,
    PopulationResult,
)


def over_represented_result(assessment: Assessment, hits: HitCounts) -> list[OverRepresentedResult]:
    frame = assessment.frame
    return [
        OverRepresentedResult(
            identity=assessment.gallery.names[frame.candidates[place]],
            recognizer=hits.recognizer,
            least_margin=hits.margin,
            hits=int(hits.hits[place]),
            per_million=Interval(
                value=float(hits.per_million[place]), low=float(hits.low[place]), high=float(hits.high[place])
            ),
            expected_per_million=float(hits.expected[place]),
            ratio=_finite(float(hits.ratio[place])),
            model_p_value=float(hits.p_value[place]),
            least_times=float(hits.least_times[place]),
            others=int(hits.others[place]),
            among_flagged=hits.among_flagged,
        )
        for place in np.flatnonzero(hits.flagged)
    ]


def more_than_cohort(assessment: Assessment) -> list[str]:
    more = np.any([hits.more for hits in assessment.hits], axis=0)
    return [assessment.gallery.names[index] for index in assessment.frame.candidates[more]]


def population_result(assessment: Assessment) -> PopulationResult | None:
    population = assessment.population
    if population is None:
        return None
    transitive = population.transitivity
    counts = transitive is None or not transitive.fails
    return PopulationResult(
        recognizer=population.recognizer,
        samples=population.count.samples,
        collisions=population.count.collisions,
        estimate=_finite(population.count.estimate),
        low=population.count.low if counts else None,
        high=_finite(population.count.high) if counts else None,
        closure=None if transitive is None else transitive.closure,
        least_closure=None if transitive is None else transitive.least,
        crowds=[
            CrowdResult(
                sample_id=crowd.sample_id,
                samples=crowd.members,
                share=crowd.share,
            )
            for crowd in population.crowds
        ],
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
