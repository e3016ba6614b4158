"""How many people the generator makes, by the samples that are one person to a recogniser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from distributed.gallery.enrolled import EnrolledGallery
from distributed.reduce.reducer import SampleTemplates
from distributed.statistics.people.population import (
    Cluster,
    IdentityCount,
    densest_clusters,
    identities_of,
    match_counts,
    match_rates,
)
from distributed.statistics.people.transitivity import Transitivity, transitivity
from schemas.run.tables import Role

POPULATION_SAMPLES = 10_000
"""Of these the identities are counted: pairs grow with the square."""
LEAST_MATCH_RATE = 0.5
"""Of two photos of one person, at the threshold by which identities are counted."""


@dataclass(frozen=True)
class Population:
    """How many people the generator makes, by one recogniser, and whom it makes most.

    transitivity: None if no sample matches two others.
    """

    recognizer: str
    count: IdentityCount
    transitivity: Transitivity | None
    crowds: Sequence[Cluster]


def population_of(gallery: EnrolledGallery, samples: Mapping[str, SampleTemplates]) -> Population | None:
    """By the first recogniser; None if fewer than two cohort identities have two photos, or if it does not
    tell the cohort's people apart, so that nobody can be counted by it."""
    recognizer = next(iter(samples))
    cohort = np.isin(gallery.identity, gallery.members_of(Role.COHORT))
    photos = np.bincount(gallery.identity[cohort])
    first = samples[recognizer].sample_id < POPULATION_SAMPLES
    templates = samples[recognizer].templates[first]
    if (photos >= 2).sum() < 2 or len(templates) < 4:
        return None
    rates = match_rates(gallery.templates[recognizer][cohort], gallery.identity[cohort])
    if rates.tmr < LEAST_MATCH_RATE:
        return None
    counts = match_counts(templates, rates.threshold)
    crowds = densest_clusters(templates, samples[recognizer].sample_id[first], rates.threshold)
    transitive = transitivity(templates, counts, rates)
    return Population(recognizer, identities_of(counts, rates), transitive, crowds)
