"""What an audit would cost and could find, for Python and for `idleak plan`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from jobs.api.spec_source import SpecSource, spec_of
from jobs.api.telling import Tell, at_work
from jobs.cli.say import notice_lines
from jobs.pages.notebook import table_html
from schemas.errors import InvalidSamplesError, RecognizerError
from schemas.run.tables import Role
from schemas.spec.audit import AuditSpec
from schemas.spec.generators.http import HttpGenerator

if TYPE_CHECKING:
    from distributed.execution.executor import Capacity
    from distributed.gallery.source import GallerySource
    from distributed.stages.planning.gallery_probe import GalleryProbe
    from distributed.stages.planning.sample_probe import SampleProbe
    from distributed.statistics.allowance import Allowance


@dataclass(frozen=True, eq=False)
class AuditPlan:
    """What an audit would cost and could find.

    rows: what `idleak plan` prints, name and text. notices: what is no sample, and what the sources of people
    inferred and left out.
    planned: samples of the spec. people: how many of each role are listed, before any photo is refused.
    allowed: what the cohort's size lets the audit flag. capacity: of this machine alone.
    samples: a few samples of one worker; None for an API, which is not probed. placebo: the same of the
    placebo; None without one. gallery: a few photos,
    enrolled.
    problem: the error that would end the audit, if the probes show one.
    """

    rows: tuple[tuple[str, str], ...]
    notices: tuple[str, ...]
    planned: int
    people: Mapping[Role, int]
    allowed: Allowance
    capacity: Capacity
    samples: SampleProbe | None
    placebo: SampleProbe | None
    gallery: GalleryProbe
    problem: InvalidSamplesError | RecognizerError | None

    @property
    def seconds(self) -> float | None:
        """About how long sampling takes on this machine; None for an API."""
        if self.samples is None:
            return None
        each = self.samples.seconds_per_sample
        if self.placebo is not None:
            each += self.placebo.seconds_per_sample
        return self.planned * each / self.capacity.workers

    @property
    def table(self) -> pa.Table:
        """`rows` with the columns `name` and `text`."""
        return pa.table({"name": [name for name, _ in self.rows], "text": [text for _, text in self.rows]})

    def _repr_html_(self) -> str:
        problem = [] if self.problem is None else [("this would end the audit", str(self.problem))]
        notes = [("", notice) for notice in self.notices]
        return table_html("What the audit would cost, and could find", [*problem, *self.rows, *notes])


def plan(spec: SpecSource, *, tell: Tell | None = None) -> AuditPlan:
    """Probe a few samples and photos, and forecast what the audit could find. Writes nothing.

    tell: is given a line for each thing to say meanwhile.
    Raises SpecError or a subclass for what the spec names and cannot be used. What would end the audit only
    later is the plan's `problem`.
    """
    with at_work(tell):
        return plan_of(spec_of(spec))


def plan_of(spec: AuditSpec) -> AuditPlan:
    """The plan of a spec with absolute paths. Raises as `plan`."""
    # Torch and onnxruntime, which take seconds to import.
    from distributed.stages.planning.gallery_probe import gallery_rows, probe_gallery
    from distributed.stages.planning.plan import (
        capacity_here,
        count_photos,
        model_rows,
        placebo_rows,
        work_rows,
    )
    from distributed.stages.planning.power_forecast import forecast_rows, planned_allowance
    from distributed.stages.preconditions import notices_of
    from distributed.stages.reference import placebo_spec

    source = _usable_source(spec)
    capacity, people = capacity_here(spec), count_photos(spec, source.listed)
    samples, placebo = _probed(spec, capacity), placebo_spec(spec)
    of_placebo = None if placebo is None else _probed(placebo, capacity)
    gallery = probe_gallery(spec, capacity, source.listed)
    rows = work_rows(spec, capacity, samples)
    if placebo is not None:
        rows += placebo_rows(placebo, capacity, of_placebo)
    rows += model_rows(spec)
    rows += [*gallery_rows(gallery), *forecast_rows(spec, people)]
    return AuditPlan(
        rows=tuple(rows),
        notices=(
            *map("warning: generator: {}".format, notices_of(spec)[0]),
            *notice_lines(source.notices, named=False),
        ),
        planned=spec.samples,
        people={role: len(listed) for role, listed in people.items()},
        allowed=planned_allowance(spec.membership, people),
        capacity=capacity,
        samples=samples,
        gallery=gallery,
        placebo=of_placebo,
        problem=_problem(spec, capacity, samples, gallery) or _unusable_placebo(placebo, of_placebo),
    )


def _usable_source(spec: AuditSpec) -> GallerySource:
    """The gallery's photos. Raises SpecError for what an audit refuses before its first photo or sample."""
    from distributed.gallery.source import gallery_source
    from distributed.gallery.usable import require_usable_people
    from distributed.stages.preconditions import require_usable_generators

    require_usable_generators(spec)
    source = gallery_source(spec, None)
    require_usable_people(spec, source)
    return source


def _probed(spec: AuditSpec, capacity: Capacity) -> SampleProbe | None:
    from distributed.stages.planning.sample_probe import probe_samples

    return None if isinstance(spec.generator, HttpGenerator) else probe_samples(spec, capacity)


def _unusable_placebo(placebo: AuditSpec | None, probe: SampleProbe | None) -> InvalidSamplesError | None:
    from distributed.stages.planning.sample_rows import require_usable_samples

    try:
        if placebo is not None and probe is not None:
            require_usable_samples(placebo, probe)
    except InvalidSamplesError as error:
        return InvalidSamplesError(f"membership.placebo: {error}")
    return None


def _problem(
    spec: AuditSpec, capacity: Capacity, samples: SampleProbe | None, gallery: GalleryProbe
) -> InvalidSamplesError | RecognizerError | None:
    """What an audit would raise for what the probes show."""
    from distributed.stages.planning.gallery_probe import require_usable_probe
    from distributed.stages.planning.sample_rows import require_usable_samples

    try:
        if samples is not None:
            require_usable_samples(spec, samples)
        require_usable_probe(spec, gallery, capacity)
    except (InvalidSamplesError, RecognizerError) as error:
        return error
    return None
