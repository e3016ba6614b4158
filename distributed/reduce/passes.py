"""The passes over the samples that an assessment asks for, wherever they are carried out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from distributed.reduce.margins import Twins
from distributed.reduce.partial import Partial
from distributed.reduce.queries import ComparedPeople
from distributed.reduce.reducer import SampleTemplates
from distributed.statistics.similarity import Floats
from schemas.errors import InvalidSamplesError
from schemas.spec.audit import AuditSpec

Partials = Mapping[str, Sequence[Partial]]
"""Recogniser -> of each level, what is found below a cut."""


class SamplePasses(Protocol):
    """The passes over the samples that an assessment asks for, wherever they are carried out."""

    def centres(self) -> dict[str, Floats]:
        """Recogniser -> what samples and people are taken relative to, float64 (d,)."""

    def search(
        self,
        people: Mapping[str, ComparedPeople],
        twins: Twins,
        cuts: tuple[int, ...],
        reference: AuditSpec | None = None,
    ) -> Iterator[Partials]:
        """Below each cut in turn. reference: another run, whose samples are searched."""

    def search_setting(
        self, people: Mapping[str, ComparedPeople], twins: Twins, settings: int, setting: int
    ) -> Partials:
        """See `Partials`: among the samples of one of so many settings, without a cut."""

    def gather(self, ids: Mapping[str, NDArray[np.int64]]) -> dict[str, SampleTemplates]:
        """Recogniser -> the templates of some samples; ids: rising."""


def with_hit_thresholds(
    spec: AuditSpec, people: dict[str, ComparedPeople], twins: Twins, passes: SamplePasses
) -> dict[str, ComparedPeople]:
    """People with the thresholds of a hit that come from the samples, where the spec says so."""
    if spec.membership.hit != "median" or "hit_rate" not in spec.membership.scores:
        return people
    (partials,) = passes.search(people, twins, (spec.samples,))
    require_templates(partials)
    return {
        name: replace(compared, thresholds=list(map(_median, partials[name])))
        for name, compared in people.items()
    }


def require_templates(partials: Partials) -> None:
    """Raise InvalidSamplesError if some recogniser has seen no sample."""
    if not all(partial.samples for levels in partials.values() for partial in levels):
        raise InvalidSamplesError(
            "no sample has a template, so nobody can be scored: see `outcome` in the shards, and check "
            "faces.detector, or give faces.landmarks"
        )


def _median(partial: Partial) -> float:
    return float(np.median(partial.neighbours.similarity[:, 0]))


def search_reference(
    spec: AuditSpec,
    people: Mapping[str, ComparedPeople],
    twins: Twins,
    passes: SamplePasses,
    reference: AuditSpec | None,
) -> Partials:
    if reference is None or "calibrated" not in spec.membership.scores:
        return {}
    (partials,) = passes.search(people, twins, (spec.samples,), reference)
    return partials
