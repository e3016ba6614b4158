"""Real people of a finished audit, planted among its samples: each is a candidate of an audit once."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from distributed.gallery.enrolled import enrolled_gallery
from distributed.membership.assess import VERDICTS_ALONE, KnownPeople, assess
from distributed.membership.assessment import Assessment
from distributed.reduce.centring import centred
from distributed.statistics.similarity import Floats, Integers, Singles
from jobs.benchmarks.planted.finished_audit import FinishedAudit
from jobs.benchmarks.worlds.simulated import in_process, write_samples
from schemas.errors import SpecError
from schemas.run.tables import Role
from schemas.spec.audit import AuditSpec

ROOM = 1.2
"""A side has so many fewer candidates than the FDR needs to flag one alone: corrections cost a little."""
Made = Callable[[Integers, np.random.Generator], Singles]
"""Templates of samples that show photos, rows of the gallery."""


@dataclass(frozen=True)
class Canaries:
    """A finished audit, whose people take turns as candidates. samples: (n, d), as the generator made them.
    likeness: what audits take for that of samples to photos. kept: photos of a candidate that stay in the
    gallery; the others are planted. most_sides: None for as many as there are."""

    audit: FinishedAudit
    likeness: float
    samples: Singles
    centre: Floats
    kept: int
    most_sides: int | None

    @classmethod
    def of(cls, audit: FinishedAudit, likeness: float, most_sides: int | None = None) -> Canaries:
        counts = audit.gallery.photos_per_identity()
        kept = max(1, int(np.median(counts)) // 2)
        return cls(audit, likeness, audit.samples(), audit.centre, kept, most_sides)

    @cached_property
    def spare(self) -> Mapping[int, Integers]:
        """person -> rows of the photos that may be planted, of everybody with such."""
        gallery = self.audit.gallery
        rows = np.flatnonzero(gallery.rank >= self.kept)
        return {
            int(person): rows[gallery.identity[rows] == person]
            for person in np.unique(gallery.identity[rows])
        }

    @cached_property
    def sides(self) -> list[Integers]:
        """The candidates of each audit: everybody with spare photos is one once, but for a rest."""
        people, everybody = np.array(sorted(self.spare)), len(self.audit.gallery.names)
        fdr = self.audit.spec.membership.fdr
        size = int(fdr * (everybody + 1) / (1 + fdr) / ROOM)
        if size < 2 or len(people) < 2 * size:
            raise SpecError(
                f"{len(people)} of {everybody} people have photos to plant beside {self.kept} that stay:"
                " too few for audits that could flag one of two candidates"
            )
        order = np.random.default_rng(0).permutation(people)
        return list(order[: len(order) // size * size].reshape(-1, size))[: self.most_sides]

    def assessed(
        self, side: Integers, planted: Mapping[int, Singles], random: np.random.Generator
    ) -> Assessment:
        """An audit with these candidates. planted: person -> templates that take the place of samples."""
        samples = self.samples.astype(np.float16)
        rows = np.concatenate([np.empty((0, samples.shape[1]), np.float32), *planted.values()])
        samples[random.choice(len(samples), len(rows), replace=False)] = rows
        with tempfile.TemporaryDirectory() as folder:
            spec = self._spec(len(samples), folder)
            write_samples(spec, samples, self.audit.recognizer)
            gallery = enrolled_gallery(self._table(side), [self.audit.recognizer])
            known = KnownPeople(gallery, twins=self.audit.twins)
            return assess(spec, known, in_process(spec), VERDICTS_ALONE)

    def _spec(self, samples: int, folder: str) -> AuditSpec:
        spec = self.audit.spec
        own = {"detect": 1.0, "likeness": self.likeness, "placebo": None, "reference": None, "ledger": None}
        changes = {
            "membership": spec.membership.model_copy(update=own),
            "protection": spec.protection.model_copy(update={"encrypt": False}),
            "samples": samples,
            "shard_size": -(-samples // 2),
            "output": folder,
        }
        return spec.model_copy(update=changes)

    def _table(self, side: Integers) -> pa.Table:
        """The gallery with these candidates, who keep so many photos, and everybody else in the cohort."""
        table, gallery = self.audit.table, self.audit.gallery
        inside = np.isin(gallery.identity, side)
        roles = pa.array(np.where(inside, str(Role.CANDIDATE), str(Role.COHORT)).tolist())
        table = table.set_column(table.schema.get_field_index("role"), table.schema.field("role"), roles)
        return table.filter(pa.array(~inside | (gallery.rank < self.kept)))


def by_law(canaries: Canaries) -> Made:
    """As the sensitivity of an audit makes them."""
    likeness = canaries.likeness
    photos = centred(canaries.audit.gallery.templates[canaries.audit.recognizer], canaries.centre)

    def made(rows: Integers, random: np.random.Generator) -> Singles:
        rest = canaries.samples[random.integers(0, len(canaries.samples), len(rows))]
        mixed = likeness * photos[rows] + np.sqrt(1 - likeness**2) * centred(rest, canaries.centre)
        mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
        length = np.linalg.norm(rest - canaries.centre, axis=1, keepdims=True)
        return np.asarray(canaries.centre + length * mixed, np.float32)

    return made


def as_they_are(templates: Singles) -> Made:
    return lambda rows, random: templates[rows]
