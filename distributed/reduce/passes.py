"""The passes over the samples that an assessment asks for, wherever they are carried out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

Partials = Mapping[str, Sequence[Sequence[Partial]]]
"""Recogniser -> level -> what is found below each cut."""


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
    ) -> dict[str, list[list[Partial]]]:
        """See `Partials`. reference: another run, whose samples are searched."""

    def search_setting(
        self, people: Mapping[str, ComparedPeople], twins: Twins, settings: int, setting: int
    ) -> dict[str, list[list[Partial]]]:
        """See `Partials`: among the samples of one of so many settings, without a cut."""

    def gather(self, ids: Mapping[str, NDArray[np.int64]]) -> dict[str, SampleTemplates]:
        """Recogniser -> the templates of some samples; ids: rising."""


def search_people(
    spec: AuditSpec,
    people: dict[str, ComparedPeople],
    twins: Twins,
    cuts: tuple[int, ...],
    passes: SamplePasses,
) -> tuple[dict[str, ComparedPeople], dict[str, list[list[Partial]]]]:
    """What is found below each cut; twice if the thresholds of a hit come from the samples."""
    by_cut = passes.search(people, twins, cuts)
    if not all(prefixes[-1].samples for levels in by_cut.values() for prefixes in levels):
        raise InvalidSamplesError(
            "no sample has a template, so nobody can be scored: see `outcome` in the shards, and check "
            "faces.detector, or give faces.landmarks"
        )
    if spec.membership.hit == "median" and "hit_rate" in spec.membership.scores:
        people = {
            name: replace(compared, thresholds=[_median(prefixes[-1]) for prefixes in by_cut[name]])
            for name, compared in people.items()
        }
        by_cut = passes.search(people, twins, cuts)
    return people, by_cut


def _median(partial: Partial) -> float:
    return float(np.median(partial.neighbours.similarity[:, 0]))


def search_reference(
    spec: AuditSpec,
    people: Mapping[str, ComparedPeople],
    twins: Twins,
    passes: SamplePasses,
    reference: AuditSpec | None,
) -> dict[str, list[Partial]]:
    if reference is None or "calibrated" not in spec.membership.scores:
        return {}
    by_cut = passes.search(people, twins, (spec.samples,), reference)
    return {name: [prefixes[-1] for prefixes in levels] for name, levels in by_cut.items()}
